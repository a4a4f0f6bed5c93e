/** One thing that is wrong with an expression. `at` is an offset in UTF-16 units. */
export interface Issue {
  message: string;
  at: number;
}

/** An expression that cannot be compiled, with all that was found. */
export class CelCompileError extends Error {
  readonly issues: readonly Issue[];
  constructor(issues: readonly Issue[]) {
    super(issues[0]?.message);
    this.issues = issues;
  }
}

/** What evaluation found wrong, in cel-go's words: "no such key: x", "division by zero", "index out of bounds: 3". */
export class CelError extends Error {}

/** The expression did more than its budget allows. */
export class CelCostExceeded extends Error {
  constructor() {
    super("operation cancelled: actual cost limit exceeded");
  }
}

const ISSUES_MAX = 100;

/** Wide marks stand below wide characters. */
const DOTS = { narrow: ".", wide: "\uff0e" };
const MARKS = { narrow: "^", wide: "\uff3e" };
const widthOf = (character: string | undefined): "narrow" | "wide" =>
  character !== undefined && (character.codePointAt(0) ?? 0) > 0x7f ? "wide" : "narrow";

/** "ERROR: <input>:1:6: undefined field 'x'" with the line and a mark below the place, as cel-go prints an issue. */
function describeIssue(source: string, { message, at }: Issue): string {
  if (source === "") return `ERROR: <input>:1:0: ${message}`;
  const before = source.slice(0, at).split("\n");
  const ahead = [...(before.at(-1) ?? "")];
  const text = source.split("\n")[before.length - 1] ?? "";
  const mark = MARKS[widthOf([...text][ahead.length])];
  const dots = ahead.map((character) => DOTS[widthOf(character)]).join("");
  const line = text.replaceAll("\t", " ");
  return `ERROR: <input>:${before.length}:${ahead.length + 1}: ${message}\n | ${line}\n | ${dots}${mark}`;
}

/** In the order of their places. */
export function describeIssues(source: string, { issues }: CelCompileError): string {
  const told = issues.toSorted((a, b) => a.at - b.at).map((issue) => describeIssue(source, issue));
  const more = told.length - ISSUES_MAX;
  return more > 0 ? [...told.slice(0, ISSUES_MAX), `${more} more error(s) truncated`].join("\n") : told.join("\n");
}
