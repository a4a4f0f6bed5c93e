/**
 * Several streams over one WebSocket: a message's first byte is its channel (in base64 protocols its first character is the channel's
 * digit and the rest is base64). The names are those of upstream's clients, from v1 (channel.k8s.io) to v5.
 */
import type { WebSocket } from "ws";

export const V5 = "v5.channel.k8s.io";
export const V4 = "v4.channel.k8s.io";
const PING_MS = 10_000;
/** The client is slow beyond this: reading from the other side stops until it has caught up. */
const BUFFERED_BYTES_MAX = 1 << 20;
const ZERO = "0".charCodeAt(0);

export interface ChannelProtocol {
  /** As the client is answered; empty where it offered none. */
  name: string;
  base64: boolean;
  /** The error channel ends with a Status as JSON, of success too; before v4 it says what failed, in words. */
  statusErrors: boolean;
  /** 255 closes the channel that the next byte names. */
  halfClose: boolean;
}

const protocol = (name: string, more: Partial<ChannelProtocol> = {}): ChannelProtocol => ({
  name,
  base64: name.includes("base64"),
  statusErrors: false,
  halfClose: false,
  ...more,
});

const V4_PROTOCOLS = [V4, "v4.base64.channel.k8s.io"].map((name) => protocol(name, { statusErrors: true }));
/** For exec and attach. */
export const COMMAND_PROTOCOLS: readonly ChannelProtocol[] = [
  protocol(V5, { statusErrors: true, halfClose: true }),
  ...V4_PROTOCOLS,
  protocol("channel.k8s.io"),
  protocol("base64.channel.k8s.io"),
  protocol(""),
];
/** For port-forward without the SPDY tunnel. */
export const FORWARD_PROTOCOLS: readonly ChannelProtocol[] = [...V4_PROTOCOLS, protocol("")];

/** The first of what the client offers that is known; a client that offers nothing gets the oldest. */
export function chooseChannels(
  offered: readonly string[],
  known: readonly ChannelProtocol[],
): ChannelProtocol | undefined {
  const wanted = offered.length === 0 ? [""] : offered;
  return wanted.flatMap((name) => known.find((each) => each.name === name) ?? [])[0];
}

export interface Channels {
  readonly protocol: ChannelProtocol;
  /** `resume` is called when a client that was slow has caught up. Answers whether it keeps up. */
  send(channel: number, data: Buffer, resume: () => void): boolean;
  onMessage(listener: (channel: number, data: Buffer) => void): void;
  onClose(listener: () => void): void;
  pause(): void;
  resume(): void;
  close(): void;
}

export function channelsOf(client: WebSocket, protocol: ChannelProtocol): Channels {
  const ping = setInterval(() => client.ping(), PING_MS);
  client.on("close", () => clearInterval(ping));
  return {
    protocol,
    send(channel, data, resume) {
      const message = protocol.base64
        ? String.fromCharCode(ZERO + channel) + data.toString("base64")
        : Buffer.concat([Buffer.from([channel]), data]);
      client.send(message, () => {
        if (client.bufferedAmount < BUFFERED_BYTES_MAX) resume();
      });
      return client.bufferedAmount < BUFFERED_BYTES_MAX;
    },
    onMessage(listener) {
      client.on("message", (message: Buffer) => {
        const first = message[0];
        if (first === undefined) return;
        if (protocol.base64) listener(first - ZERO, Buffer.from(message.subarray(1).toString(), "base64"));
        else listener(first, message.subarray(1));
      });
    },
    onClose(listener) {
      client.on("close", listener);
      client.on("error", listener);
    },
    pause: () => client.pause(),
    resume: () => client.resume(),
    close() {
      clearInterval(ping);
      client.close(1000);
    },
  };
}
