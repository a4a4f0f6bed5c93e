import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatLabelSelector,
  labelRequirements,
  matchesLabels,
  parseLabelSelector,
  selectsLabels,
  validateLabelSelector,
  validateLabels,
} from "./labels.ts";

const matches = (selector: string, labels: Record<string, string>) =>
  matchesLabels(parseLabelSelector(selector), labels);

test("every operator of the text syntax decides as upstream does", () => {
  assert.ok(matches("", {}));
  assert.ok(matches("app=web", { app: "web" }));
  assert.ok(matches("app==web", { app: "web" }));
  assert.ok(!matches("app=web", { app: "db" }));
  assert.ok(!matches("app=web", {}));
  assert.ok(matches("app!=web", {}));
  assert.ok(matches("app in (a, b)", { app: "b" }));
  assert.ok(!matches("app in (a,b)", { app: "c" }));
  assert.ok(matches("app notin (a,b)", {}));
  assert.ok(matches("app", { app: "" }));
  assert.ok(matches("!app", {}));
  assert.ok(matches("n>3,n<10", { n: "7" }));
  assert.ok(!matches("n>3", { n: "x" }));
  assert.ok(matches("a in (,b)", { a: "" }));
  assert.ok(matches("a=,b", { a: "", b: "1" }));
  assert.ok(matches("example.com/in=in", { "example.com/in": "in" }));
});

test("labels named like properties of every JavaScript object are not there unless set", () => {
  assert.ok(!matches("constructor", {}));
  assert.ok(matches("!toString", {}));
});

test("a selector that cannot be parsed says what upstream says", () => {
  const cases: [string, string][] = [
    ["a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"],
    ["a in b", "unable to parse requirement: found 'b' expected: '('"],
    ["a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["a,", "found '', expected: identifier after ','"],
    [",a", "found ',', expected: !, identifier, or 'end of string'"],
    ["a=b c", "found 'c', expected: ',' or 'end of string'"],
    ["!", "unable to parse requirement: found '', expected: identifier"],
  ];
  for (const [selector, message] of cases) assert.throws(() => parseLabelSelector(selector), { message }, selector);
  assert.throws(() => parseLabelSelector("a=b!"), /found '!', expected: ',' or 'end of string'/);
  assert.throws(
    () => parseLabelSelector("-a=b"),
    /unable to parse requirement: <nil>: Invalid value: "-a": name part must/,
  );
});

test("selector objects select like their text", () => {
  const selector = {
    matchLabels: { app: "web" },
    matchExpressions: [{ key: "tier", operator: "NotIn", values: ["db"] }],
  };
  assert.ok(selectsLabels(selector, { app: "web" }));
  assert.ok(!selectsLabels(selector, { app: "web", tier: "db" }));
  assert.ok(selectsLabels({}, { any: "thing" }));
  assert.ok(!selectsLabels(undefined, {}));
  assert.equal(formatLabelSelector(labelRequirements(selector) ?? []), "app=web,tier notin (db)");
});

test("validation of selectors and labels gives upstream's causes", () => {
  const found = validateLabelSelector(
    {
      matchExpressions: [
        { key: "a", operator: "In" },
        { key: "b", operator: "Near" },
        { key: "c", operator: "Exists", values: ["x"] },
      ],
    },
    "spec.selector",
  );
  assert.deepEqual(
    found.map((c) => `${c.field}: ${c.message}`),
    [
      "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
      'spec.selector.matchExpressions[1].operator: Invalid value: "Near": not a valid selector operator',
      "spec.selector.matchExpressions[2].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    ],
  );
  const [bad] = validateLabels({ ok: "bad value!" }, "metadata.labels");
  assert.equal(
    bad?.message,
    `Invalid value: "bad value!": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
  );
});
