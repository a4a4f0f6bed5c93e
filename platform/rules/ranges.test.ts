import { equal } from "node:assert/strict";
import { test } from "node:test";
import { addressText, addressValue, canonicalAddress, nthAddress, parseRange } from "./ranges.ts";

test("addresses are written as everybody writes them, whatever was read", () => {
  for (const [text, canonical] of [
    ["10.0.0.1", "10.0.0.1"],
    ["FD00:0:0:0:0:0:0:1", "fd00::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["1:0:0:2:0:0:0:0", "1:0:0:2::"],
    ["::ffff:10.0.0.1", "::ffff:a00:1"],
    ["None", "None"],
  ] as const)
    equal(canonicalAddress(text), canonical);
});

test("an address is its number's, in both families", () => {
  for (const text of ["0.0.0.0", "255.255.255.255", "10.96.0.10"]) equal(addressText(4, addressValue(text)), text);
  for (const text of ["::", "::1", "fd00:10:96::a", "ffff::"]) equal(addressText(6, addressValue(text)), text);
});

test("ranges are counted from their first address", () => {
  const range = parseRange("fd00:10:96::/112");
  equal(range && nthAddress(range, 10n), "fd00:10:96::a");
});
