/** Speaks TCP as its arguments say: `dial HOST PORT`, or `serve PORT` for one who connects. */
import { command } from "#sdk/pod/command.ts";
import { args } from "#sdk/pod/environment.ts";
import { type Connection, connect, listen } from "#sdk/pod/sockets.ts";

const textOf = (connection: Connection): string => new TextDecoder().decode(connection.read());

export const run = command(() => {
  const [, what, first = "", second = ""] = args();
  if (what === "dial") {
    const connection = connect({ host: first, port: Number(second) });
    connection.write("question");
    console.log(`heard ${textOf(connection)}`);
    connection.close();
    return 0;
  }
  const listener = listen(Number(first));
  console.log("listening");
  const connection = listener.accept();
  const asked = textOf(connection);
  connection.write(`answer to ${asked}`);
  connection.close();
  listener.close();
  console.log(`was asked ${asked}`);
  return 0;
});
