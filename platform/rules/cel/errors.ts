/** An expression that cannot be compiled. `at` is an offset in UTF-16 units. */
export class CelCompileError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
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

/** "ERROR: <input>:1:6: undefined field 'x'" with the line and a mark below the place, as cel-go prints issues. */
export function describeIssue(source: string, { message, at }: CelCompileError): string {
  const before = source.slice(0, at);
  const line = before.split("\n").length;
  const column = at - (before.lastIndexOf("\n") + 1);
  const text = source.split("\n")[line - 1] ?? "";
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text}\n | ${".".repeat(column)}^`;
}
