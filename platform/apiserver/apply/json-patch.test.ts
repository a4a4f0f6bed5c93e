import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { type JsonPatchOperation, jsonPatch, OPERATIONS_MAX, parseJsonPatch } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";

const applies = (document: JsonObject, operations: JsonPatchOperation[], expected: JsonObject) => {
  const before = structuredClone(document);
  assert.deepEqual(jsonPatch(document, operations), expected);
  assert.deepEqual(document, before, "the document itself is left as it is");
};
const refused = (document: JsonObject, operations: JsonPatchOperation[]) =>
  assert.throws(
    () => jsonPatch(document, operations),
    (error) => error instanceof StatusError && error.code === 422 && error.reason === "Invalid",
  );

describe("JSON patch", () => {
  it("adds into objects and arrays, at a place and at the end", () => {
    applies({ a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] });
    applies({ a: [1] }, [{ op: "add", path: "/a/-", value: 2 }], { a: [1, 2] });
    applies({ a: [1] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2] });
    applies({}, [{ op: "add", path: "/b", value: null }], { b: null });
  });
  it("reads ~1 and ~0 in a path", () => {
    applies(
      { "a/b": 1, "m~n": 2 },
      [
        { op: "remove", path: "/a~1b" },
        { op: "remove", path: "/m~0n" },
      ],
      {},
    );
    applies({ "~1": 1 }, [{ op: "remove", path: "/~01" }], {});
  });
  it("replaces, moves and copies", () => {
    applies({ a: { b: 1 } }, [{ op: "replace", path: "/a/b", value: [2] }], { a: { b: [2] } });
    applies({ a: {} }, [{ op: "replace", path: "/a/new", value: 2 }], { a: { new: 2 } });
    applies({ a: { b: 1 }, c: {} }, [{ op: "move", from: "/a/b", path: "/c/d" }], { a: {}, c: { d: 1 } });
    applies({ a: [1, 2, 3] }, [{ op: "move", from: "/a/0", path: "/a/2" }], { a: [2, 3, 1] });
    applies({ a: { b: [1] } }, [{ op: "copy", from: "/a", path: "/c" }], { a: { b: [1] }, c: { b: [1] } });
  });
  it("keeps a key named __proto__ an ordinary key", () => {
    const out = jsonPatch({ data: {} }, [{ op: "add", path: "/data/__proto__", value: "x" }]);
    assert.equal(JSON.stringify(out), '{"data":{"__proto__":"x"}}');
    assert.equal(JSON.stringify(mergePatch({}, JSON.parse('{"__proto__":{"a":1}}'))), '{"__proto__":{"a":1}}');
    assert.equal(({} as { a?: number }).a, undefined);
  });
  it("refuses what does not apply with upstream's 422", () => {
    refused({}, [{ op: "remove", path: "/nothing" }]);
    refused({}, [{ op: "replace", path: "/nothing/below", value: 1 }]);
    refused({}, [{ op: "add", path: "/a/b", value: 1 }]);
    refused({ a: [1] }, [{ op: "add", path: "/a/2", value: 1 }]);
    refused({ a: [1] }, [{ op: "add", path: "/a/01", value: 1 }]);
    refused({ a: 1 }, [{ op: "test", path: "/a", value: 2 }]);
    refused({ a: 1 }, [{ op: "add", path: "a", value: 2 }]);
    refused({ a: 1 }, [{ op: "jump", path: "/a" } as unknown as JsonPatchOperation]);
  });
  it("tests values by their JSON, whatever the order of keys", () => {
    applies({ a: { x: 1, y: [2] } }, [{ op: "test", path: "/a", value: { y: [2], x: 1 } }], { a: { x: 1, y: [2] } });
  });
  it("answers 413 to too many operations and 400 to what is no patch", () => {
    const one = { op: "test", path: "", value: {} };
    assert.throws(() => parseJsonPatch(new Array(OPERATIONS_MAX + 1).fill(one)), { message: /is 10000, got 10001/ });
    assert.throws(
      () => parseJsonPatch({ op: "add" }),
      (error) => error instanceof StatusError && error.code === 400,
    );
  });
});

describe("merge patch", () => {
  // RFC 7396, appendix A.
  const cases: [string, string, string][] = [
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', "{}"],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
    ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
  ];
  for (const [target, patch, result] of cases) {
    it(`${target} with ${patch} is ${result}`, () => {
      assert.deepEqual(mergePatch(JSON.parse(target), JSON.parse(patch)), JSON.parse(result));
    });
  }
});
