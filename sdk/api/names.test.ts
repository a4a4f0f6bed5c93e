import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isConfigMapKey,
  isDNS1035Label,
  isDNS1123Label,
  isDNS1123Subdomain,
  isPortName,
  isQualifiedName,
} from "./names.ts";

const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

test("good names pass", () => {
  assert.deepEqual(isDNS1123Label("my-name"), []);
  assert.deepEqual(isDNS1123Subdomain("a.b-c.d"), []);
  assert.deepEqual(isDNS1035Label("abc-123"), []);
  assert.deepEqual(isQualifiedName("example.com/My_Name.x"), []);
  assert.deepEqual(isConfigMapKey(".hidden"), []);
  assert.deepEqual(isPortName("http"), []);
});

test("bad names are told in upstream's words", () => {
  assert.deepEqual(isDNS1123Subdomain("Upper"), [SUBDOMAIN]);
  assert.deepEqual(isDNS1123Subdomain("a".repeat(254)), ["must be no more than 253 characters"]);
  assert.deepEqual(isDNS1123Label("a.b"), ["must not contain dots"]);
  assert.deepEqual(isQualifiedName("/x"), ["prefix part must be non-empty"]);
  assert.equal(isQualifiedName("").length, 2);
  assert.deepEqual(isQualifiedName("a".repeat(64)), ["name part must be no more than 63 bytes"]);
  assert.deepEqual(isConfigMapKey("..a"), ["must not start with '..'"]);
  assert.deepEqual(isPortName("a--b"), ["must not contain consecutive hyphens"]);
});
