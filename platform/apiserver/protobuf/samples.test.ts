/** The samples of the Go module k8s.io/api: every kind with every field filled, as JSON and as protobuf. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Json } from "#sdk/api/object.ts";
import { decodeProtobuf } from "./decode.ts";
import { encodeProtobuf } from "./encode.ts";
import { messageOf } from "./messages.ts";

const MODULES = process.env["GOMODCACHE"] ?? join(process.env["GOPATH"] ?? join(homedir(), "go"), "pkg", "mod");
const SAMPLES = join(MODULES, "k8s.io/api@v0.36.3/testdata/HEAD");
const reason = existsSync(SAMPLES) ? false : `the Go module k8s.io/api v0.36.3 is not in ${MODULES}`;

interface Sample {
  name: string;
  object: { kind: string; apiVersion: string };
}

const samples: Sample[] = reason
  ? []
  : readdirSync(SAMPLES)
      .filter((name) => name.endsWith(".json"))
      .map((name) => ({
        name: name.slice(0, -".json".length),
        object: JSON.parse(readFileSync(join(SAMPLES, name), "utf8")) as Sample["object"],
      }))
      .filter(({ object }) => object.kind && messageOf(object.apiVersion, object.kind) !== undefined);

describe("samples of k8s.io/api", { skip: reason }, () => {
  test("there are samples of the served kinds", () => assert.ok(samples.length > 60, String(samples.length)));
  for (const { name, object } of samples) {
    test(`${name} is the same bytes and the same object`, () => {
      const bytes = readFileSync(join(SAMPLES, `${name}.pb`));
      assert.deepEqual(decodeProtobuf(bytes), object as unknown as Json);
      assert.equal(encodeProtobuf(object)?.toString("hex"), bytes.toString("hex"));
    });
  }
});
