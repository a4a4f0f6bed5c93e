/**
 * For guests: protocol buffers (proto3) between bytes and their JSON mapping, driven by tables. Unknown fields are skipped; zero values
 * are neither written nor read, except that an enum is always given, since its zero means something ("SANDBOX_READY").
 */
import { readMessage } from "./protobuf-read.ts";
import { lookupOf, type Message, type Tables, type Value } from "./protobuf-tables.ts";
import { writeMessage } from "./protobuf-write.ts";

export type { Message, Tables, Value };

export interface Codec {
  /** The wire form of a message given in its JSON mapping. Throws an Error that names the wrong field. */
  encode(message: string, object: Message): Uint8Array;
  /** A message in its JSON mapping from its wire form. Throws an Error for bytes that are none. */
  decode(message: string, bytes: Uint8Array): Message;
}

export function createCodec(tables: Tables): Codec {
  const lookup = lookupOf(tables);
  return {
    encode: (message, object) => writeMessage(lookup, message, object),
    decode: (message, bytes) => readMessage(lookup, message, bytes),
  };
}
