import assert from "node:assert/strict";
import { test } from "node:test";
import { CelCompileError } from "./errors.ts";
import { parse } from "./parser.ts";

const OPERAND =
  "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/** "4 mismatched …": the place (from 1) and what is said of it. */
function told(source: string): string[] {
  try {
    parse(source);
    return [];
  } catch (error) {
    assert.ok(error instanceof CelCompileError);
    return error.issues
      .toSorted((a, b) => a.at - b.at)
      .map(({ message, at }) => `${at + 1} ${message.replace("Syntax error: ", "").replace(OPERAND, "OPERAND")}`);
  }
}

/** What kube-apiserver 1.36 says of the same. */
const CASES: readonly [source: string, ...told: string[]][] = [
  ["50%", "4 mismatched input '<EOF>' expecting OPERAND"],
  ["1.2.3.4", "4 mismatched input '.3' expecting <EOF>"],
  ["y z", "3 extraneous input 'z' expecting <EOF>"],
  ["a b c d", "3 mismatched input 'b' expecting <EOF>"],
  ["/tmp/x", "1 extraneous input '/' expecting OPERAND"],
  ["../x", "2 no viable alternative at input '..'"],
  ["(a", "3 missing ')' at '<EOF>'"],
  ["((a", "4 mismatched input '<EOF>' expecting ')'"],
  ["()a", "2 extraneous input ')' expecting OPERAND", "4 missing ')' at '<EOF>'"],
  ["(a + ) * b", "6 mismatched input ')' expecting OPERAND"],
  ["[1 2]", "4 extraneous input '2' expecting {']', ','}"],
  ["[1,,2]", "4 mismatched input ',' expecting ']'"],
  ["[1,", "4 missing ']' at '<EOF>'"],
  ["{1 2}", "4 missing ':' at '2'"],
  ["{1}", "3 mismatched input '}' expecting ':'"],
  ["x{1:2}", "3 mismatched input '1' expecting {'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"],
  ["f(1 2)", "5 extraneous input '2' expecting ')'"],
  ["f(a b, c)", "5 mismatched input 'b' expecting ')'"],
  ["a.b(c", "6 missing ')' at '<EOF>'"],
  ["a ? b", "6 mismatched input '<EOF>' expecting ':'"],
  ["a ? b c", "7 missing ':' at 'c'"],
  ["a ? ? b", "5 extraneous input '?' expecting OPERAND", "8 mismatched input '<EOF>' expecting ':'"],
  ["a.", "3 no viable alternative at input '.'"],
  ["object.in", "8 no viable alternative at input '.in'", "10 mismatched input '<EOF>' expecting OPERAND"],
  ["a.true", "3 mismatched input 'true' expecting IDENTIFIER"],
  ["-", "2 no viable alternative at input '-'", "2 mismatched input '<EOF>' expecting OPERAND"],
  ["!-a", "3 no viable alternative at input '-a'"],
  ["-!a", "2 no viable alternative at input '-!'"],
  ["!", "2 extraneous input '<EOF>' expecting OPERAND"],
  ["in", "1 mismatched input 'in' expecting OPERAND", "3 mismatched input '<EOF>' expecting OPERAND"],
  ["'abc", "1 token recognition error at: ''abc'", "5 mismatched input '<EOF>' expecting OPERAND"],
  ["a = 1", "3 token recognition error at: '= '", "5 extraneous input '1' expecting <EOF>"],
  ["a & b", "3 token recognition error at: '& '", "5 extraneous input 'b' expecting <EOF>"],
  ["if a then b", "1 reserved identifier: if", "4 mismatched input 'a' expecting <EOF>"],
  ["has(1)", "5 invalid argument to has() macro"],
  ["99999999999999999999", "1 invalid int literal"],
  ["a.while", ...[]],
  ["[,]", ...[]],
  ["{1: 2,}", ...[]],
];

test("what cannot be read is told with its place, as the original's parser tells it", () => {
  for (const [source, ...expected] of CASES) assert.deepEqual(told(source), expected, source);
});
