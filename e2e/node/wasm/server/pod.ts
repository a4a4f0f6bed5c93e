/** Answers, fails, hangs or traps, as the path says. */
import { env, readFile, writeFile } from "#sdk/pod/environment.ts";
import { serve } from "#sdk/pod/http.ts";

let served = 0;
let healthy = true;

/** Until the stack is used up, which the engine cannot catch everywhere. */
const deep = (n: number): number => (n === 0 ? 0 : 1 + deep(n + 1));

export const incomingHandler = serve((request) => {
  switch (request.path) {
    case "/healthz":
      return { status: healthy ? 200 : 503 };
    case "/sicken":
      healthy = false;
      return {};
    case "/throw":
      throw new Error("thrown by the pod");
    case "/deep":
      return { body: String(deep(1)) };
    case "/echo":
      return { body: `${request.method} ${request.query} ${request.headers["x-test"] ?? ""} ${request.body()}` };
    case "/files":
      writeFile("/data/written", "kept");
      return { body: `${readFile("/config/greeting")} ${readFile("/data/written")}` };
    case "/outside":
      return { body: readFile("/config/../../../../../../../../etc/passwd") };
    default:
      served++;
      console.log(`request ${served} of ${env("POD_NAME")}`);
      return { body: `${served} ${env("POD_NAME")}` };
  }
});
