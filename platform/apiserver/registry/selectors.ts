/** Label and field selectors of list, watch and deletecollection (apimachinery's labels and fields packages). */
import type { Matcher } from "#platform/store/port.ts";
import { badRequest } from "#sdk/api/status.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";

export type LabelOperator = "exists" | "absent" | "in" | "notin" | "gt" | "lt";
export interface LabelRequirement {
  key: string;
  operator: LabelOperator;
  values: string[];
}

/** Tokens: identifiers, and the signs ( ) , ! = == != > <. */
function tokens(text: string): string[] {
  const found = text.match(/==|!=|[=!<>(),]|[^\s=!<>(),]+/g);
  return found ?? [];
}

const signs = new Set(["(", ")", ",", "!", "=", "==", "!=", ">", "<"]);

export function parseLabelSelector(text: string): LabelRequirement[] {
  const all = tokens(text);
  const requirements: LabelRequirement[] = [];
  let at = 0;
  const fail = (message: string): never => {
    throw badRequest(message);
  };
  const found = () => all[at] ?? "";
  const key = (name: string): string => {
    const errors = isQualifiedName(name);
    if (errors.length)
      fail(`unable to parse requirement: key: Invalid value: ${JSON.stringify(name)}: ${errors.join("; ")}`);
    return name;
  };
  const checkValue = (name: string, i: number, value: string): string => {
    const errors = isLabelValue(value);
    if (errors.length) {
      fail(
        `unable to parse requirement: values[${i}][${name}]: Invalid value: ${JSON.stringify(value)}: ${errors.join("; ")}`,
      );
    }
    return value;
  };
  const parseValues = (name: string): string[] => {
    if (found() !== "(") fail(`unable to parse requirement: found '${found()}' expected: '('`);
    at++;
    const values: string[] = [];
    for (;;) {
      const token = found();
      if (token === ")") {
        if (values.length === 0) values.push("");
        at++;
        return values;
      }
      if (token === ",") {
        if (values.length === 0) values.push("");
        at++;
        if (found() === ")" || found() === ",") values.push("");
        continue;
      }
      if (token === "" || signs.has(token)) {
        fail(`unable to parse requirement: found '${token}', expected: ',', ')' or identifier`);
      }
      values.push(checkValue(name, values.length, token));
      at++;
    }
  };
  if (all.length === 0) return [];
  for (;;) {
    if (found() === "!") {
      at++;
      const name = found();
      if (name === "" || signs.has(name)) fail(`unable to parse requirement: found '${name}', expected: identifier`);
      requirements.push({ key: key(name), operator: "absent", values: [] });
      at++;
    } else {
      const name = found();
      if (name === "" || signs.has(name))
        fail(`unable to parse requirement: found '${name}', expected: !, identifier, or 'end of string'`);
      key(name);
      at++;
      const operator = found();
      if (operator === "" || operator === ",") requirements.push({ key: name, operator: "exists", values: [] });
      else if (operator === "in" || operator === "notin") {
        at++;
        requirements.push({ key: name, operator, values: parseValues(name) });
      } else if (["=", "==", "!=", ">", "<"].includes(operator)) {
        at++;
        let value = found();
        if (value === "" || value === ",") value = "";
        else if (signs.has(value)) fail(`unable to parse requirement: found '${value}', expected: identifier`);
        else at++;
        checkValue(name, 0, value);
        const kind = operator === "!=" ? "notin" : operator === ">" ? "gt" : operator === "<" ? "lt" : "in";
        if ((kind === "gt" || kind === "lt") && !/^[-+]?\d+$/.test(value)) {
          fail(
            `unable to parse requirement: values[0][${name}]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
          );
        }
        requirements.push({ key: name, operator: kind, values: [value] });
      } else fail(`unable to parse requirement: found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
    }
    if (at >= all.length) return requirements;
    if (found() !== ",") fail(`found '${found()}', expected: ',' or 'end of string'`);
    at++;
    if (at >= all.length) fail(`found '', expected: identifier after ','`);
  }
}

export function matchesLabels(
  requirements: readonly LabelRequirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case "exists":
        return value !== undefined;
      case "absent":
        return value === undefined;
      case "in":
        return value !== undefined && values.includes(value);
      case "notin":
        return value === undefined || !values.includes(value);
      case "gt":
        return value !== undefined && /^[-+]?\d+$/.test(value) && BigInt(value) > BigInt(values[0] ?? "0");
      case "lt":
        return value !== undefined && /^[-+]?\d+$/.test(value) && BigInt(value) < BigInt(values[0] ?? "0");
      default:
        return false;
    }
  });
}

export interface FieldRequirement {
  field: string;
  equal: boolean;
  value: string;
}

/** Commas and equals signs in values are escaped with a backslash. */
export function parseFieldSelector(text: string): FieldRequirement[] {
  const requirements: FieldRequirement[] = [];
  for (const term of text.split(/(?<!\\),/)) {
    if (term === "") continue;
    const match = /^((?:[^=!\\]|\\.)+?)(==|!=|=)(.*)$/s.exec(term);
    if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    const value = (match[3] ?? "").replace(/\\([\\,=])/g, "$1");
    requirements.push({ field: match[1] ?? "", equal: match[2] !== "!=", value });
  }
  return requirements;
}

export interface Selection {
  labels: LabelRequirement[];
  fields: FieldRequirement[];
}

/** Undefined when everything matches. A field that an object does not have counts as "". */
export function matcherOf({ labels, fields }: Selection): Matcher | undefined {
  if (labels.length === 0 && fields.length === 0) return undefined;
  return (object) =>
    fields.every((f) => ((object.fields[f.field] ?? "") === f.value) === f.equal) &&
    matchesLabels(labels, object.labels);
}
