/** CRI v1's messages between bytes and their JSON mapping. */
import { createCodec } from "#sdk/plugin/protobuf.ts";
import { enums, messages } from "./generated.ts";

export type { Message, Value } from "#sdk/plugin/protobuf.ts";
export const { encode, decode } = createCodec({ enums, messages });
