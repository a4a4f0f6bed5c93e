/**
 * New connections are begun a few in each turn of the event loop, in the order they came. When hundreds of clients come at once, as after
 * a server's death, those that are served already keep most of the time, and the first to come are served first, where all of
 * them would have waited for the last one's handshake. Who was begun and says nothing holds up nobody.
 */
import type { Server, Socket } from "node:net";

/** About what a handshake takes of this thread. */
const HANDSHAKE_MS = 1.2;
/** Handshakes may take half as long as everything else. */
const SHARE = 0.5;
const BEGUN_A_TURN_MIN = 4;

const destroy = function (this: Socket): void {
  this.destroy();
};

/** Stands before what the server does with a connection: for one that does not listen yet. `now`: milliseconds that only grow. */
export function paceArrivals(server: Server, now: () => number = () => performance.now()): void {
  const begins = server.listeners("connection");
  const waiting: Socket[] = [];
  let planned = false;
  let last = 0;
  const plan = () => {
    planned = waiting.length > 0;
    last = now();
    if (planned) setImmediate(turn);
  };
  const turn = () => {
    const room = Math.max(BEGUN_A_TURN_MIN, Math.floor(((now() - last) * SHARE) / HANDSHAKE_MS));
    for (const socket of waiting.splice(0, room)) {
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
