import assert from "node:assert/strict";
import { test } from "node:test";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { validateCosts } from "./costs.ts";

const text: StructuralSchema = { type: "string" };
const list = (items: StructuralSchema, more: StructuralSchema = {}): StructuralSchema => ({
  type: "array",
  items,
  ...more,
});
const schema = (rule: string): StructuralSchema => ({
  type: "object",
  properties: {
    s: text,
    short: { ...text, maxLength: 1000 },
    l: list(text),
    small: list({ ...text, maxLength: 100 }, { maxItems: 100 }),
    m: { type: "object", additionalProperties: text },
  },
  "x-kubernetes-validations": [{ rule }],
});
const told = (of: StructuralSchema) => validateCosts(of, "s").map(({ field, message }) => `${field}: ${message}`);
/** The factor that kube-apiserver 1.36.3 tells for the same rule; undefined: it lets the rule pass. */
const factors: readonly [rule: string, factor: string | undefined][] = [
  ["self.s == 'a'", undefined],
  ["self.s.startsWith('a')", undefined],
  ["self.l.all(x, x == 'a')", undefined],
  ["self.small.all(x, self.small.exists_one(y, x == y))", undefined],
  ["self.l.filter(x, x == 'a').all(y, y == 'b')", "2.0x"],
  ["self.l.exists(x, self.l.exists(y, x == y))", "more than 100x"],
  ["self.s.contains(self.s)", "more than 100x"],
];

test("rules that could cost too much are refused, by the factor that the original tells", () => {
  for (const [rule, factor] of factors) {
    const [first] = told(schema(rule));
    if (factor === undefined) assert.equal(first, undefined, rule);
    else
      assert.match(
        first ?? "",
        new RegExp(`^s\\.x-kubernetes-validations\\[0\\]\\.rule: .* exceeds budget by factor of ${factor} `),
        rule,
      );
  }
});

test("a rule counts as often as its place can be repeated, and limits make it affordable", () => {
  const nested = (more: StructuralSchema): StructuralSchema => ({
    type: "object",
    properties: {
      x: list(
        list(text, { ...more, "x-kubernetes-validations": [{ rule: "self.all(s, s == 'string constant')" }] }),
        more,
      ),
    },
  });
  assert.match(told(nested({}))[0] ?? "", /estimated rule cost exceeds budget by factor of more than 100x/);
  assert.deepEqual(told(nested({ maxItems: 10 })), []);
});

test("all rules of a schema together are bounded too, and the heaviest named", () => {
  const many = schema("self.l.all(x, x == 'a')");
  const rules = Array.from({ length: 20 }, () => ({ rule: "self.l.all(x, x == 'a')" }));
  const causes = told({ ...many, "x-kubernetes-validations": rules });
  assert.equal(causes.filter((line) => line.includes("contributed to estimated rule cost total")).length, 4);
  assert.match(
    causes.at(-1) ?? "",
    /^s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema/,
  );
});
