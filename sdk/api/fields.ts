/** Field selectors: "metadata.name=a,status.phase!=Running". The syntax and messages of apimachinery's `fields`. */
export interface FieldRequirement {
  field: string;
  operator: "=" | "!=";
  value: string;
}

export type FieldSelector = readonly FieldRequirement[];

/** Throws an Error with upstream's message, which upstream answers with 400. */
export function parseFieldSelector(selector: string): FieldSelector {
  return splitTerms(selector)
    .filter((term) => term !== "")
    .sort()
    .map((term) => {
      const match = /!=|==|=/.exec(term);
      if (!match) throw new Error(`invalid selector: '${selector}'; can't understand '${term}'`);
      const value = unescapeValue(term.slice(match.index + match[0].length));
      return {
        field: term.slice(0, match.index),
        operator: match[0] === "!=" ? ("!=" as const) : ("=" as const),
        value,
      };
    })
    .filter(({ field, value }) => field !== "" || value !== "");
}

/** At commas that no backslash escapes. */
function splitTerms(selector: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let i = 0; i < selector.length; i += 1) {
    if (selector[i] === "\\") i += 1;
    else if (selector[i] === ",") {
      terms.push(selector.slice(start, i));
      start = i + 1;
    }
  }
  return [...terms, selector.slice(start)];
}

function unescapeValue(text: string): string {
  let value = "";
  for (let i = 0; i < text.length; i += 1) {
    const sign = text.charAt(i);
    if (sign === "," || sign === "=") {
      throw new Error(`invalid field selector: unescaped character in value: ${sign.charCodeAt(0)}`);
    }
    if (sign !== "\\") {
      value += sign;
      continue;
    }
    i += 1;
    const escaped = text.charAt(i);
    if (escaped === "" || !"\\,=".includes(escaped)) {
      throw new Error(`invalid field selector: invalid escape sequence: \\${escaped}`);
    }
    value += escaped;
  }
  return value;
}

/** A field that is absent counts as "". */
export const matchesFields = (selector: FieldSelector, fields: Readonly<Record<string, string>>): boolean =>
  selector.every(({ field, operator, value }) => ((fields[field] ?? "") === value) === (operator === "="));

const escapeValue = (value: string): string => value.replace(/[\\,=]/g, (sign) => `\\${sign}`);

export const formatFieldSelector = (selector: FieldSelector): string =>
  selector.map(({ field, operator, value }) => `${field}${operator}${escapeValue(value)}`).join(",");

/** The value a selector asks of a field by equality, where there is one. */
export const requiredValue = (selector: FieldSelector, field: string): string | undefined =>
  selector.find((requirement) => requirement.field === field && requirement.operator === "=")?.value;
