/** /openapi/v2 as protobuf: the messages of gnostic's openapi.v2 (OpenAPIv2.proto), as far as our document has them. */
import type { JsonObject } from "#sdk/api/object.ts";
import { textField, Writer, wholeField } from "../protobuf/writer.ts";

type Value = JsonObject[string] | undefined;
/** Writes a value under a number, or nothing when there is none. */
type Field = (w: Writer, number: number, value: Value) => void;
/** Number, name in JSON, how. Highest first: the writer goes backwards. */
type Shape = readonly (readonly [number: number, name: string, write: Field])[];

const isObject = (value: Value): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const text: Field = (w, number, value) => {
  if (typeof value === "string") textField(w, number, value);
};
const flag: Field = (w, number, value) => {
  if (value === true) wholeField(w, number, 1);
};
const each =
  (field: Field): Field =>
  (w, number, value) => {
    if (Array.isArray(value)) for (const item of value.toReversed()) field(w, number, item);
  };

/** A message around what `inside` writes. */
const around =
  (inside: (w: Writer, value: JsonObject) => void): Field =>
  (w, number, value) => {
    if (!isObject(value)) return;
    const mark = w.mark;
    inside(w, value);
    w.close(number, mark);
  };

const message = (shape: () => Shape, extensions?: number): Field =>
  around((w, object) => {
    if (extensions !== undefined) vendor(w, extensions, object);
    for (const [number, name, write] of shape()) write(w, number, object[name]);
  });

/** A map's entries: name 1, value 2. */
const entries =
  (value: Field): Field =>
  (w, number, map) => {
    if (!isObject(map)) return;
    for (const [name, item] of Object.entries(map).toReversed()) {
      const mark = w.mark;
      value(w, 2, item);
      textField(w, 1, name);
      w.close(number, mark);
    }
  };

/** A message with the map's entries under 1 (or another number) and nothing else. */
const mapMessage = (value: Field, number = 1): Field => around((w, map) => entries(value)(w, number, map));

/** Any: JSON is YAML. */
const any: Field = (w, number, value) => {
  const mark = w.mark;
  textField(w, 2, `${JSON.stringify(value)}\n`);
  w.close(number, mark);
};

function vendor(w: Writer, number: number, object: JsonObject): void {
  const own = Object.entries(object).filter(([name]) => name.startsWith("x-"));
  entries(any)(w, number, Object.fromEntries(own));
}

const SCHEMA: Shape = [
  [25, "properties", (w, number, value) => mapMessage(schema)(w, number, value)],
  [23, "items", around((w, items) => schema(w, 1, items))],
  [
    22,
    "type",
    (w, number, value) => {
      const mark = w.mark;
      if (typeof value !== "string") return;
      textField(w, 1, value);
      w.close(number, mark);
    },
  ],
  [21, "additionalProperties", around((w, values) => schema(w, 1, values))],
  [20, "enum", each(any)],
  [19, "required", each(text)],
  [4, "description", text],
  [2, "format", text],
  [1, "$ref", text],
];
const schema: Field = message(() => SCHEMA, 31);

const body: Field = message(
  () => [
    [5, "schema", schema],
    [4, "required", flag],
    [3, "in", text],
    [2, "name", text],
    [1, "description", text],
  ],
  6,
);
const inQuery: Field = message(
  () => [
    [20, "uniqueItems", flag],
    [6, "type", text],
    [4, "name", text],
    [2, "in", text],
    [1, "required", flag],
  ],
  23,
);
const inPath: Field = message(
  () => [
    [19, "uniqueItems", flag],
    [5, "type", text],
    [4, "name", text],
    [2, "in", text],
    [1, "required", flag],
  ],
  22,
);

/** ParametersItem around Parameter around the one that is meant. */
const parameter: Field = around((w, value) => {
  const one = value["in"] === "body" ? body : value["in"] === "path" ? inPath : inQuery;
  const plain: Field = around((writer, inner) => one(writer, value["in"] === "path" ? 4 : 3, inner));
  around((writer, inner) => (one === body ? body(writer, 1, inner) : plain(writer, 2, inner)))(w, 1, value);
});

/** ResponseValue around Response; its schema is in a SchemaItem. */
const response: Field = around((w, value) =>
  message(() => [
    [2, "schema", around((writer, inner) => schema(writer, 1, inner))],
    [1, "description", text],
  ])(w, 1, value),
);

const operation: Field = message(
  () => [
    [10, "schemes", each(text)],
    [9, "responses", mapMessage(response)],
    [8, "parameters", each(parameter)],
    [7, "consumes", each(text)],
    [6, "produces", each(text)],
    [5, "operationId", text],
    [1, "tags", each(text)],
  ],
  13,
);

const path: Field = message(
  () => [
    [9, "parameters", each(parameter)],
    [8, "patch", operation],
    [5, "delete", operation],
    [4, "post", operation],
    [3, "put", operation],
    [2, "get", operation],
  ],
  10,
);

const apiKey: Field = message(() => [
  [3, "in", text],
  [2, "name", text],
  [1, "type", text],
]);
const words: Field = (w, number, value) => {
  const mark = w.mark;
  each(text)(w, 1, value);
  w.close(number, mark);
};

const DOCUMENT: Shape = [
  [13, "securityDefinitions", mapMessage(around((w, definition) => apiKey(w, 2, definition)))],
  [12, "security", each(mapMessage(words))],
  [9, "definitions", mapMessage(schema)],
  [8, "paths", mapMessage(path, 2)],
  [
    2,
    "info",
    message(() => [
      [2, "version", text],
      [1, "title", text],
    ]),
  ],
  [1, "swagger", text],
];

/** The bytes of openapi.v2.Document; a field that the tables above don't name is left out. */
export function encodeOpenApiV2(document: JsonObject): Buffer {
  const w = new Writer();
  for (const [number, name, write] of DOCUMENT) write(w, number, document[name]);
  return w.take();
}
