import assert from "node:assert/strict";
import { test } from "node:test";
import { borrowsApiAddress, firstAddress } from "./api-service.ts";

const RANGE = "10.96.0.0/16";
const service = (name: string, clusterIP: string, namespace = "default") => ({
  metadata: { namespace, name },
  spec: { clusterIP },
});

test("the first address of a range is the API's own service's", () => {
  assert.equal(firstAddress(RANGE), "10.96.0.1");
  assert.equal(firstAddress("10.0.255.255/32"), "10.1.0.0");
});

test("only a tenant's kubernetes service has root's address without holding it", () => {
  const borrowed = service("kubernetes", "10.96.0.1");
  assert.equal(borrowsApiAddress(borrowed, false, RANGE), true);
  assert.equal(borrowsApiAddress(borrowed, true, RANGE), false);
  for (const other of [
    service("web", "10.96.0.1"),
    service("kubernetes", "10.96.0.2"),
    service("kubernetes", "10.96.0.1", "mine"),
  ])
    assert.equal(borrowsApiAddress(other, false, RANGE), false);
});
