/**
 * Writes objects as Kubernetes' protobuf: the four bytes "k8s\0", then runtime.Unknown around the kind's message. Messages are written from
 * their end to their beginning, so that no length has to be known before; fields and map keys go in upstream's order.
 */
import { messageOf, messages } from "./messages.ts";
import { textField, Writer, wholeField } from "./writer.ts";

const META = "k8s.io.apimachinery.pkg.apis.meta.v1";
const EXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1";
const MAGIC = Buffer.from("k8s\0");

type Content = (w: Writer, value: unknown) => void;
type Fields = { [name: string]: unknown };
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function timestamp(w: Writer, value: unknown): void {
  const text = String(value);
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return;
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  wholeField(w, 2, Number(fraction.padEnd(9, "0").slice(0, 9)));
  wholeField(w, 1, Math.floor(ms / 1000));
}

function intOrString(w: Writer, value: unknown): void {
  const isText = typeof value === "string";
  textField(w, 3, isText ? value : "");
  wholeField(w, 2, isText ? 0 : Number(value));
  wholeField(w, 1, isText ? 1 : 0);
}

const jsonIn: Content = (w, value) => textField(w, 1, JSON.stringify(value));
const lists: Content = (w, value) => {
  if (Array.isArray(value)) for (const item of value.toReversed()) textField(w, 1, String(item));
};

const schema = (w: Writer, number: number, value: unknown): void => {
  const mark = w.mark;
  contentOf(`${EXTENSIONS}.JSONSchemaProps`)(w, value);
  w.close(number, mark);
};

/** The counterparts of decode.ts: messages whose JSON is not an object of their fields. */
const SPECIAL: Record<string, Content> = {
  [`${META}.Time`]: timestamp,
  [`${META}.MicroTime`]: timestamp,
  [`${META}.FieldsV1`]: jsonIn,
  "k8s.io.apimachinery.pkg.runtime.RawExtension": jsonIn,
  "k8s.io.apimachinery.pkg.api.resource.Quantity": (w, value) => textField(w, 1, String(value)),
  "k8s.io.apimachinery.pkg.util.intstr.IntOrString": intOrString,
  [`${EXTENSIONS}.JSON`]: jsonIn,
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`]: (w, value) => {
    if (!Array.isArray(value)) schema(w, 1, value);
    else for (const one of value.toReversed()) schema(w, 2, one);
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`]: (w, value) => {
    if (!Array.isArray(value)) schema(w, 1, value);
    else for (const one of value.toReversed()) textField(w, 2, String(one));
  },
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`]: (w, value) => {
    if (typeof value !== "boolean") schema(w, 2, value);
    // What has a schema allows what the schema allows.
    wholeField(w, 1, value === false ? 0 : 1);
  },
};

/** Writes one value with its tag. */
type FieldWriter = (w: Writer, number: number, value: unknown) => void;

function fieldWriter(type: string): FieldWriter {
  switch (type) {
    case "string":
      return (w, number, value) => textField(w, number, String(value));
    case "bytes":
      return (w, number, value) => {
        const mark = w.mark;
        w.raw(Buffer.from(String(value), "base64"));
        w.close(number, mark);
      };
    case "bool":
      return (w, number, value) => wholeField(w, number, value === true ? 1 : 0);
    case "double":
      return (w, number, value) => {
        w.double(Number(value));
        w.varint(number * 8 + 1);
      };
    case "int32":
    case "int64":
    case "uint32":
    case "uint64":
      return (w, number, value) => wholeField(w, number, Number(value));
    default: {
      const content = contentOf(type);
      return (w, number, value) => {
        const mark = w.mark;
        content(w, value);
        w.close(number, mark);
      };
    }
  }
}

function mapWriter(type: string): FieldWriter {
  const entry = fieldWriter(type);
  return (w, number, value) => {
    if (!isFields(value)) return;
    for (const key of Object.keys(value).sort().reverse()) {
      const mark = w.mark;
      entry(w, 2, value[key]);
      textField(w, 1, key);
      w.close(number, mark);
    }
  };
}

/** Types refer to themselves: the writer is looked up when it is first called. */
const contents = new Map<string, Content>();

function contentOf(type: string): Content {
  const known = contents.get(type);
  if (known) return known;
  let made: Content | undefined;
  const content: Content = (w, value) => {
    made ??= SPECIAL[type] ?? (/\.(ExtraValue|Verbs)$/.test(type) ? lists : structContent(type));
    made(w, value);
  };
  contents.set(type, content);
  return content;
}

function structContent(type: string): Content {
  const codes = Object.entries(messages()[type] ?? {})
    .map(([number, [name, of, repeated]]) => {
      const write = of.startsWith("map:") ? mapWriter(of.slice("map:".length)) : fieldWriter(of);
      return { number: Number(number), name, write, repeated: repeated === 1 };
    })
    .sort((a, b) => b.number - a.number);
  return (w, object) => {
    if (!isFields(object)) return;
    for (const { number, name, write, repeated } of codes) {
      if (name === "") {
        // An embedded struct's fields are its parent's; one of which nothing is there is left out.
        const [before, at] = [w.mark, w.at];
        write(w, number, object);
        if (w.mark - before === (number < 16 ? 2 : 3)) w.at = at;
        continue;
      }
      const value = object[name];
      if (value === undefined || value === null) continue;
      if (!repeated) write(w, number, value);
      else if (Array.isArray(value)) for (const item of value.toReversed()) write(w, number, item);
    }
  };
}

const writer = new Writer();

/** The kind's message alone: what lists and envelopes carry. Undefined when the kind has no protobuf form. */
export function encodeMessage(apiVersion: string, kind: string, object: object): Buffer | undefined {
  const type = messageOf(apiVersion, kind);
  if (type === undefined) return undefined;
  contentOf(type)(writer, object);
  return writer.take();
}

/** A list's message from its items' messages. */
export function listMessage(metadata: object, items: readonly Buffer[]): Buffer {
  for (const item of items.toReversed()) {
    writer.raw(item);
    writer.varint(item.length);
    writer.byte(0x12);
  }
  const mark = writer.mark;
  contentOf(`${META}.ListMeta`)(writer, metadata);
  writer.close(1, mark);
  return writer.take();
}

/** The answer's body around a message. */
export function envelope(apiVersion: string, kind: string, message: Buffer): Buffer {
  textField(writer, 4, "");
  textField(writer, 3, "");
  writer.raw(message);
  writer.varint(message.length);
  writer.byte(0x12);
  const mark = writer.mark;
  textField(writer, 2, kind);
  textField(writer, 1, apiVersion);
  writer.close(1, mark);
  writer.raw(MAGIC);
  return writer.take();
}

/** An object with its kind and apiVersion; undefined when the kind has no protobuf form. */
export function encodeProtobuf(object: { kind?: string; apiVersion?: string }): Buffer | undefined {
  const { kind = "", apiVersion = "" } = object;
  const message = encodeMessage(apiVersion, kind, object);
  return message && envelope(apiVersion, kind, message);
}

/** A frame of a watch: its length in four bytes, then meta.v1.WatchEvent around the object's envelope. */
export function watchFrame(type: string, body: Buffer): Buffer {
  const object = writer.mark;
  const raw = writer.mark;
  writer.raw(body);
  writer.close(1, raw);
  writer.close(2, object);
  textField(writer, 1, type);
  const event = writer.take();
  const frame = Buffer.allocUnsafe(4 + event.length);
  frame.writeUInt32BE(event.length);
  event.copy(frame, 4);
  return frame;
}
