/**
 * New connections are begun a few in each turn of the event loop, in the order they came. When hundreds of clients come at once, as after
 * a server's death, those that are served already keep their share of the time, and the first to come are served first, where all of
 * them would have waited for the last one's handshake. Who was begun and says nothing holds up nobody.
 */
import type { Server, Socket } from "node:net";

/** A handshake takes about a millisecond of this thread. */
const BEGUN_A_TURN = 4;

const destroy = function (this: Socket): void {
  this.destroy();
};

/** Stands before what the server does with a connection: for one that does not listen yet. */
export function paceArrivals(server: Server): void {
  const begins = server.listeners("connection");
  const waiting: Socket[] = [];
  let planned = false;
  const plan = () => {
    planned = waiting.length > 0;
    if (planned) setImmediate(turn);
  };
  const turn = () => {
    for (const socket of waiting.splice(0, BEGUN_A_TURN)) {
      socket.off("error", destroy);
      if (!socket.destroyed) for (const begin of begins) begin.call(server, socket);
    }
    plan();
  };
  server.removeAllListeners("connection");
  server.on("connection", (socket: Socket) => {
    // Nobody else listens yet, and an error that nobody hears ends the process.
    socket.on("error", destroy);
    waiting.push(socket);
    if (!planned) plan();
  });
}
