/** Content negotiation: what the client accepts, among what the server can write (JSON, YAML, protobuf; tables and metadata only). */
import { notAcceptable, unsupportedMediaType } from "#sdk/api/status.ts";

/** "protobuf" only where the kind has a message (protobuf/messages.ts). */
export type Encoding = "json" | "yaml" | "protobuf";
export type Shape = "object" | "table" | "metadata";

export interface Accepted {
  encoding: Encoding;
  shape: Shape;
  /** meta.k8s.io version of a table or metadata ("v1", "v1beta1"). */
  version: string;
}

interface MediaRange {
  type: string;
  parameters: Record<string, string>;
  q: number;
}

export function parseAccept(header: string): MediaRange[] {
  const ranges = header.split(",").map((part) => {
    const [type = "", ...rest] = part.trim().split(";");
    const parameters: Record<string, string> = {};
    for (const p of rest) {
      const [key = "", value = ""] = p.trim().split("=");
      parameters[key.toLowerCase()] = value.replace(/^"|"$/g, "");
    }
    const q = Number(parameters.q ?? "1");
    return { type: type.trim().toLowerCase(), parameters, q: Number.isFinite(q) ? q : 1 };
  });
  return ranges.filter((r) => r.type !== "").sort((a, b) => b.q - a.q);
}

const encodings: Record<string, Encoding> = {
  "application/json": "json",
  "application/yaml": "yaml",
  "application/vnd.kubernetes.protobuf": "protobuf",
  "application/*": "json",
  "*/*": "json",
};

function shapeOf(parameters: Record<string, string>): Shape | undefined {
  const { as, g, v } = parameters;
  if (as === undefined) return "object";
  if (g !== "meta.k8s.io" || (v !== "v1" && v !== "v1beta1")) return undefined;
  if (as === "Table") return "table";
  return as === "PartialObjectMetadata" || as === "PartialObjectMetadataList" ? "metadata" : undefined;
}

const ACCEPTED_TYPES = "application/json, application/yaml";
const WITH_PROTOBUF = `${ACCEPTED_TYPES}, application/vnd.kubernetes.protobuf`;

/** `shapes` are those the endpoint can give, `protobuf` whether what it gives has messages; the first range that fits wins. */
export function negotiate(
  header: string | undefined,
  shapes: readonly Shape[] = ["object"],
  protobuf = false,
): Accepted {
  if (!header) return { encoding: "json", shape: "object", version: "v1" };
  for (const { type, parameters } of parseAccept(header)) {
    const encoding = encodings[type];
    const shape = shapeOf(parameters);
    if (encoding === "protobuf" && (!protobuf || shape === "table")) continue;
    if (encoding && shape && shapes.includes(shape)) return { encoding, shape, version: parameters.v ?? "v1" };
  }
  throw notAcceptable(`only the following media types are accepted: ${protobuf ? WITH_PROTOBUF : ACCEPTED_TYPES}`);
}

/** The media type of a body, without parameters; "" when the header is absent. */
export const mediaType = (header: string | undefined): string =>
  (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";

export function bodyEncoding(header: string | undefined): Encoding {
  const type = mediaType(header);
  if (type === "" || type === "application/json") return "json";
  if (type === "application/yaml") return "yaml";
  if (type === "application/vnd.kubernetes.protobuf") return "protobuf";
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${WITH_PROTOBUF}`,
  );
}
