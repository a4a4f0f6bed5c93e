import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseDevices, type Wanted } from "./choose.ts";

const set = (text: string) => new Set(text.split("").filter((one) => one !== ""));
const wanted = (more: Partial<Wanted>): Wanted => ({
  uid: "u",
  container: "c",
  resource: "example.com/r",
  count: 1,
  has: undefined,
  healthy: set("abcd"),
  inUse: set(""),
  reusable: set(""),
  ...more,
});

describe("the devices a container gets", () => {
  const table: [name: string, more: Partial<Wanted>, ids: string][] = [
    ["the first that nobody has", { count: 2, inUse: set("a") }, "bc"],
    ["those of an init container of its pod first", { count: 2, inUse: set("cd"), reusable: set("d") }, "da"],
    ["what the plugin would rather give", { count: 2, preferred: async () => ["d", "b"] }, "db"],
    [
      "no more than that where the plugin answers little, or what is taken",
      { count: 2, inUse: set("d"), preferred: async () => ["d", "c"] },
      "ca",
    ],
    ["nothing new where it has its own", { count: 2, has: ["a", "b"], inUse: set("ab") }, ""],
    ["none where it asks for none", { count: 0 }, ""],
  ];
  for (const [name, more, ids] of table)
    it(name, async () => assert.equal((await chooseDevices(wanted(more))).join(""), ids));

  const refusals: [more: Partial<Wanted>, message: string][] = [
    [{ healthy: undefined }, "cannot allocate unregistered device example.com/r"],
    [{ healthy: set("") }, "no healthy devices present; cannot allocate unhealthy devices example.com/r"],
    [
      { has: ["x"] },
      "previously allocated devices are no longer healthy; cannot allocate unhealthy devices example.com/r",
    ],
    [
      { count: 3, inUse: set("ab") },
      "requested number of devices unavailable for example.com/r. Requested: 3, Available: 2",
    ],
    [{ count: 2, has: ["a"] }, 'pod "u" container "c" changed request for resource "example.com/r" from 1 to 2'],
  ];
  for (const [more, message] of refusals)
    it(`or why not: ${message}`, () => assert.rejects(chooseDevices(wanted(more)), { message }));
});
