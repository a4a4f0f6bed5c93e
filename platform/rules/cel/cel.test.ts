import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BOOL,
  CelCostExceeded,
  CelEnvironment,
  CelError,
  DYN,
  fieldName,
  fromJson,
  INT,
  listOf,
  mapOf,
  objectType,
  STRING,
  TIMESTAMP,
  toJson,
} from "./index.ts";

const SELF = objectType("self", {
  replicas: INT,
  name: STRING,
  foo__dash__bar: STRING,
  created: TIMESTAMP,
  items: listOf(objectType("item", { key: STRING, value: INT })),
  labels: mapOf(STRING, STRING),
});
const variables = { self: SELF, object: DYN, flag: BOOL };
const environment = new CelEnvironment({ variables, binds: true });
const self = {
  replicas: 3,
  name: "web-1",
  "foo-bar": "x",
  created: "2024-01-02T03:04:05Z",
  items: [
    { key: "a", value: 1 },
    { key: "b", value: 2 },
  ],
  labels: { app: "web" },
};
const bindings = {
  self: fromJson(self, SELF),
  object: fromJson({ spec: { n: 5, f: 1.5, list: [{ x: "y" }], "a/b": 1 } }),
  flag: true,
};

function run(source: string): unknown {
  const compiled = environment.compile(source);
  assert.ok(compiled.ok, compiled.ok ? "" : `${source}: ${compiled.error}`);
  return compiled.program.evaluate(bindings).value;
}
const issue = (source: string): string => {
  const compiled = environment.compile(source);
  assert.ok(!compiled.ok, `${source} compiled`);
  return compiled.error;
};

test("what is true is true", () => {
  for (const source of [
    "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 % 3 == -1 && 1.5 + 1.5 == 3.0",
    "self.replicas > 2 && self.name.startsWith('web') && self.foo__dash__bar == \"x\"",
    "self.items.all(i, i.value > 0) && self.items.exists(i, i.key == 'b') && self.items.exists_one(i, i.value == 2)",
    "self.items.map(i, i.value).sum() == 3 && self.items.filter(i, i.value > 1).size() == 1",
    "has(self.name) && !has(object.spec.missing) && has(object.spec.list[0].x)",
    "self.labels.all(k, k == 'app') && self.labels['app'] == 'web' && 'app' in self.labels && 2 in [1, 2]",
    "object.spec.n == 5 && object.spec.f == 1.5 && type(object.spec.n) == int && object.spec['a/b'] == 1",
    "self.created.getFullYear() == 2024 && self.created < timestamp('2025-01-01T00:00:00Z')",
    "duration('1h30m') == duration('90m') && string(duration('90s')) == '90s'",
    "object.?spec.?missing.orValue(7) == 7 && object.?spec.n.hasValue() && optional.of(3).value() == 3",
    "optional.of(3).optMap(x, x * 2).orValue(0) == 6 && !optional.none().hasValue()",
    "'hello'.replace('l', 'L') == 'heLLo' && 'a,b'.split(',') == ['a', 'b'] && 'abc'.substring(1) == 'bc'",
    "'%s is %d and %.2f'.format(['x', 3, 1.5]) == 'x is 3 and 1.50' && '%s'.format([[1, 2]]) == '[1, 2]'",
    "'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'abc'.matches('^a.c$')",
    "[1, 2, 3].isSorted() && [3, 1].min() == 1 && [1, 2, 1].lastIndexOf(1) == 2 && [1, 1].distinct() == [1]",
    "sets.contains([1, 2], [2]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2])",
    "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('500m').add(quantity('0.5')) == quantity('1')",
    "isQuantity('1Mi') && !isQuantity('x') && quantity('50k').asInteger() == 50000",
    "url('https://h.example:80/p?a=1&a=2').getHostname() == 'h.example' && url('https://h:80/').getPort() == '80'",
    "isURL('/a') && !isURL('../x') && url('https://h/p?a=1&a=2').getQuery()['a'] == ['1', '2']",
    "ip('10.0.0.1').family() == 4 && isIP('::1') && ip('::1').isLoopback() && string(ip('2001:db8::0:1')) == '2001:db8::1'",
    "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1')) && isCIDR('::/0')",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.0', true).minor() == 0 && !isSemver('1')",
    "!format.dns1123Label().validate('my-name').hasValue() && format.named('dns1123Label').hasValue()",
    "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v * 10) == {'b': 20} && [5, 6].transformList(i, v, i + v) == [5, 7]",
    "optional.unwrap([optional.of(1), optional.none()]) == [1] && [optional.of('a')].unwrapOpt() == ['a']",
    "cel.bind(x, self.replicas, x * x) == 9 && [?optional.none(), 1] == [1] && {?'a': optional.of(1)} == {'a': 1}",
    "(flag ? 'yes' : 'no') == 'yes' && (true || 1 / 0 == 1) && (1 / 0 == 1 || true) && !(false && 1 / 0 == 1)",
    "1 < 2.5 && 1 == 1.0 && b'abc'.size() == 3 && r'\\d' == '\\\\d' && '\\u00e9'.size() == 1",
    "[1, 2, 3].slice(0, 2) == [1, 2] && lists.range(3) == [0, 1, 2] && [[1], [2]].flatten() == [1, 2]",
  ]) {
    assert.equal(run(source), true, source);
  }
});

test("mistakes are told in cel-go's words, with their place", () => {
  assert.equal(
    issue("self.missing == 1"),
    "ERROR: <input>:1:5: undefined field 'missing'\n | self.missing == 1\n | ....^",
  );
  assert.match(issue("foo"), /^ERROR: <input>:1:1: undeclared reference to 'foo' \(in container ''\)/);
  assert.match(issue("self.name + 1"), /found no matching overload for '_\+_' applied to '\(string, int\)'/);
  assert.match(issue("self.name == 1"), /found no matching overload for '_==_' applied to '\(string, int\)'/);
  assert.match(issue("self.replicas.all(x, true)"), /cannot be range of a comprehension/);
  assert.match(issue("1 +"), /Syntax error: mismatched input '<EOF>'/);
  assert.match(issue("[1, 'a']"), /expected type 'int' but found 'string'/);
  const text = environment.compile("self.name", ["bool"]);
  assert.deepEqual(text, { ok: false, error: "must evaluate to bool" });
});

test("all that is wrong is told, each thing once, and what Kubernetes does not speak is not spoken here", () => {
  const plain = new CelEnvironment({ variables });
  const places = (source: string) => {
    const compiled = plain.compile(source);
    return compiled.ok
      ? []
      : [...compiled.error.matchAll(/<input>:1:(\d+): (.*?) \(in/g)].map((m) => `${m[1]} ${m[2]}`);
  };
  assert.deepEqual(places("foo + bar > 1 && self.replicas + foo == 2"), [
    "1 undeclared reference to 'foo'",
    "7 undeclared reference to 'bar'",
    "34 undeclared reference to 'foo'",
  ]);
  assert.deepEqual(places("cel.bind(x, 1, x) == 1"), [
    "1 undeclared reference to 'cel'",
    "9 undeclared reference to 'bind'",
    "10 undeclared reference to 'x'",
    "16 undeclared reference to 'x'",
  ]);
  assert.equal(places("[1].existsOne(x, x > 0)").length, 3);
  assert.equal(places("jsonpatch.escapeKey('a') == 'a'").length, 2);
  assert.match(issue("'abc'.reverse() == 'cba'"), /no matching overload for 'reverse' applied to 'string\.\(\)'/);
  assert.match(issue("object.`a-b` == 1"), /unsupported syntax: '`'/);
});

test("what goes wrong while running is an error of the expression", () => {
  for (const [source, message] of [
    ["1 / 0", "division by zero"],
    ["object.nothing", "no such key: nothing"],
    ["self.items[5]", "index out of bounds: 5"],
    ["9223372036854775807 + 1", "integer overflow"],
    ["object.spec.n + 'a'", "no such overload"],
    ["'a'.matches(object.spec.list[0].x + '(')", "error parsing regexp"],
  ] as const) {
    assert.throws(
      () => run(source),
      (error) => error instanceof CelError && error.message.startsWith(message),
      source,
    );
  }
});

test("work is counted, and what costs too much is stopped", () => {
  const compiled = environment.compile(
    "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))",
  );
  assert.ok(compiled.ok);
  assert.throws(() => compiled.program.evaluate(bindings), CelCostExceeded);
  const cheap = environment.compile("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.matches('^(a+)+$')");
  assert.ok(cheap.ok);
  assert.equal(cheap.program.evaluate({}).value, false);
});

test("field names that are no identifiers have another, and come back", () => {
  assert.equal(fieldName("foo-bar.x/y__z"), "foo__dash__bar__dot__x__slash__y__underscores__z");
  assert.equal(fieldName("namespace"), "__namespace__");
  assert.equal(fieldName("a b"), undefined);
  assert.deepEqual(toJson(bindings.self), self);
});
