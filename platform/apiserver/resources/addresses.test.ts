import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { validateCanonicalIP, validateCIDR, validateEndpointIP, validateIP } from "./addresses.ts";

const details = (
  check: (text: string, field: string) => readonly { message?: string }[],
  ...texts: string[]
): boolean[] => texts.map((text) => check(text, "f").length === 0);

test("addresses are read as Go reads them: no leading zeros, no mapped ones", () => {
  deepEqual(details(validateIP, "10.1.2.3", "fd00::1", "010.1.2.3", "::ffff:1.2.3.4", "10.1.2", "x"), [
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  deepEqual(details(validateCanonicalIP, "fd00::1", "fd00:0::1", "FD00::1"), [true, false, false]);
});

test("ranges end at their prefix; what was there stays", () => {
  deepEqual(details(validateCIDR, "10.0.0.0/8", "fd00::/64", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0"), [
    true,
    true,
    false,
    false,
    false,
  ]);
  deepEqual(validateIP("010.1.2.3", "f", ["010.1.2.3"]), []);
});

test("endpoints are elsewhere: not the host itself, no group, no link", () => {
  deepEqual(details(validateEndpointIP, "10.1.2.3", "127.0.0.1", "0.0.0.0", "169.254.1.1", "224.0.0.1"), [
    true,
    false,
    false,
    false,
    false,
  ]);
});
