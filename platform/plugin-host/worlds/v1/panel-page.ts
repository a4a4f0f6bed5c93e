/** What a panel may put on a page (sdk/wit/v1/panel.wit): data only, bounded. What is not in here does not cross. */
import { z } from "zod";

const TEXT_MAX = 10_000;
const CHILDREN_MAX = 200;
const ROWS_MAX = 1_000;
const POINTS_MAX = 2_000;
const DEPTH_MAX = 4;

const text = z.string().max(TEXT_MAX);
const tone = z.enum(["info", "good", "warning", "bad"]);
const objectName = z.object({
  group: text,
  version: text,
  resource: text,
  namespace: text.default(""),
  name: text,
});
/** Into the console only: to an object, or to another page of the same panel. */
const link = z.union([z.object({ resource: objectName }), z.object({ path: text })]);
const field = z.object({
  name: text,
  label: text,
  kind: z.enum(["text", "number", "choice", "check"]),
  choices: z.array(text).max(CHILDREN_MAX).optional(),
  value: z.union([z.string(), z.number(), z.boolean()]).optional(),
  required: z.boolean().optional(),
});
const action = z.object({
  id: text,
  label: text,
  tone: tone.optional(),
  confirm: text.optional(),
  fields: z.array(field).max(50).optional(),
});

const leaves = [
  z.object({ heading: text }),
  z.object({ text }),
  z.object({ code: z.string().max(100_000), language: text.optional() }),
  z.object({ notice: text, tone }),
  z.object({
    facts: z.array(z.object({ label: text, value: text, link: link.optional() })).max(CHILDREN_MAX),
  }),
  z.object({ meter: z.object({ label: text, value: z.number(), max: z.number(), unit: text.optional() }) }),
  z.object({
    series: z.object({
      label: text,
      unit: text.optional(),
      lines: z
        .array(z.object({ label: text, points: z.array(z.tuple([z.number(), z.number()])).max(POINTS_MAX) }))
        .max(20),
    }),
  }),
  z.object({
    table: z.object({
      columns: z.array(text).max(50),
      rows: z
        .array(
          z.object({
            cells: z.array(text).max(50),
            link: link.optional(),
            actions: z.array(action).max(10).optional(),
          }),
        )
        .max(ROWS_MAX),
    }),
  }),
  z.object({ object: objectName }),
  z.object({ actions: z.array(action).max(50) }),
] as const;

function childAt(depth: number): z.ZodType {
  if (depth === 0) return z.union(leaves);
  const inner = z.array(childAt(depth - 1)).max(CHILDREN_MAX);
  return z.union([
    ...leaves,
    z.object({ columns: z.array(inner).max(6) }),
    z.object({ section: text, children: inner }),
  ]);
}

export const pageSchema = z.object({
  title: text,
  children: z.array(childAt(DEPTH_MAX)).max(CHILDREN_MAX),
  refreshSeconds: z.number().min(1).max(3600).optional(),
});
