import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesIn, isAddress, isRange } from "./ranges.ts";

test("a range's addresses are counted out in both families, in their canonical form", () => {
  assert.deepEqual(addressesIn("203.0.113.9/30"), ["203.0.113.9", "203.0.113.10"]);
  assert.deepEqual(addressesIn("203.0.113.9/32"), ["203.0.113.9"]);
  assert.deepEqual(addressesIn("fd00:203::/126"), ["fd00:203::1", "fd00:203::2"]);
  assert.deepEqual(addressesIn("fd00:172:31:240::/127"), ["fd00:172:31:240::", "fd00:172:31:240::1"]);
  assert.deepEqual(addressesIn("2001:db8:0:0:1:0:0:f/128"), ["2001:db8::1:0:0:f"]);
  assert.deepEqual(addressesIn("2001:db8:1:2:3:4:5:6/128"), ["2001:db8:1:2:3:4:5:6"]);
  assert.deepEqual(addressesIn("::/128"), ["::"]);
  for (const wrong of ["203.0.113.0", "203.0.113.256/28", "10.0.0.0/8", "fd00::/64", "fd00:::/124", "1:2/124", "x/28"])
    assert.equal(addressesIn(wrong), undefined, wrong);
});

test("an address is of its family only", () => {
  assert.ok(isAddress("::1", "IPv6") && isAddress("127.0.0.1", "IPv4") && isRange("fd00::/8", "IPv6"));
  assert.ok(!isAddress("::1", "IPv4") && !isAddress("fd00::1::2", "IPv6") && !isRange("10.0.0.0/33", "IPv4"));
});
