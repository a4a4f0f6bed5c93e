import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeProtobuf } from "./decode.ts";

/** What `kubectl create namespace default` sends. */
const NAMESPACE =
  "6b387300" +
  "0a0f0a02763112094e616d657370616365" +
  "121f0a170a0764656661756c7412001a0022002a003200380042001200" +
  "1a020a00" +
  "1a002200";

test("a typed client's body reads as the object's JSON", () => {
  const object = decodeProtobuf(Buffer.from(NAMESPACE, "hex"));
  assert.equal(object.kind, "Namespace");
  assert.equal(object.apiVersion, "v1");
  assert.equal((object.metadata as { name: string }).name, "default");
});

const field = (number: number, bytes: Buffer) => Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
const text = (number: number, value: string) => field(number, Buffer.from(value));

test("embedded structs, quantities and maps take their JSON form", () => {
  const quantity = field(2, text(1, "100m"));
  const requests = field(2, Buffer.concat([text(1, "cpu"), quantity]));
  const container = Buffer.concat([text(1, "c"), text(2, "image"), field(8, requests)]);
  const emptyDir = field(2, field(2, Buffer.alloc(0)));
  const volume = Buffer.concat([text(1, "v"), emptyDir]);
  const spec = Buffer.concat([field(1, volume), field(2, container)]);
  const pod = field(2, spec);
  const type = field(1, Buffer.concat([text(1, "v1"), text(2, "Pod")]));
  const object = decodeProtobuf(Buffer.concat([Buffer.from("k8s\0"), type, field(2, pod)]));
  assert.deepEqual(object.spec, {
    volumes: [{ name: "v", emptyDir: {} }],
    containers: [{ name: "c", image: "image", resources: { requests: { cpu: "100m" } } }],
  });
});

test("what is no such body is refused with 400", () => {
  for (const body of [
    Buffer.from("{}"),
    Buffer.from("k8s\0\xff\xff"),
    Buffer.concat([Buffer.from("k8s\0"), Buffer.from([0x0a, 0xff])]),
  ]) {
    assert.throws(() => decodeProtobuf(body), { name: "StatusError" });
  }
});
