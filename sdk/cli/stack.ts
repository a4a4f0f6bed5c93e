/** Stacks of guests in TypeScript, which name places in the bundle, as places in the author's files. */
import { existsSync, readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";

/** As the guest prints it, or with a time before it in a log. */
const STACK_LINE = /^.*\sat .*:\d+:\d+\)?$/m;
const STACK_LINES = new RegExp(STACK_LINE, "gm");
/** "(FILE:LINE:COLUMN)" of QuickJS; the bundle is one module, whatever it is called. */
const PLACE = /\(?((?:[\w-]+:)?[\w./-]*\.js):(\d+):(\d+)\)?/g;

/** The text with every place that the map knows replaced; the same text where there is no map. */
export function mapStack(text: string, mapPath: string): string {
  if (!STACK_LINE.test(text) || !existsSync(mapPath)) return text;
  const map = new SourceMap(JSON.parse(readFileSync(mapPath, "utf8")) as SourceMapPayload);
  return text.replaceAll(STACK_LINES, (line) =>
    line.replace(PLACE, (place, _file: string, row: string, column: string) => {
      const entry = map.findEntry(Number(row) - 1, Number(column) - 1);
      if (!("originalSource" in entry)) return place;
      return `(${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1})`;
    }),
  );
}
