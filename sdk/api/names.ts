/**
 * Names, label keys and label values: the rules and wordings of apimachinery's `util/validation`.
 * Each function answers the messages of what is wrong; none: the value is valid.
 */

const DNS1123_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN = `${DNS1123_LABEL}(\\.${DNS1123_LABEL})*`;
const UNDERSCORED_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const UNDERSCORED_SUBDOMAIN = `${UNDERSCORED_LABEL}(\\.${UNDERSCORED_LABEL})*`;
const DNS1035_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE = `(${QUALIFIED_NAME})?`;
const C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*";
const WILDCARD_SUBDOMAIN = `\\*\\.${DNS1123_SUBDOMAIN}`;
const CONFIG_MAP_KEY = "[-._a-zA-Z0-9]+";

const whole = (pattern: string): RegExp => new RegExp(`^${pattern}$`);
const dns1123Label = whole(DNS1123_LABEL);
const dns1123Subdomain = whole(DNS1123_SUBDOMAIN);
const underscoredSubdomain = whole(UNDERSCORED_SUBDOMAIN);
const dns1035Label = whole(DNS1035_LABEL);
const qualifiedName = whole(QUALIFIED_NAME);
const labelValue = whole(LABEL_VALUE);
const cIdentifier = whole(C_IDENTIFIER);
const wildcardSubdomain = whole(WILDCARD_SUBDOMAIN);
const configMapKey = whole(CONFIG_MAP_KEY);

const ALPHANUMERIC_ENDS = "and must start and end with an alphanumeric character";

/** Upstream says "characters" for DNS names and keys of data, "bytes" for label keys and values; it counts bytes in both. */
export const maxLengthMessage = (limit: number, unit: "bytes" | "characters"): string =>
  `must be no more than ${limit} ${unit}`;

export function regexMessage(rule: string, pattern: string, ...examples: string[]): string {
  const shown = examples.map((example) => `'${example}', `).join(" or ");
  return examples.length === 0
    ? `${rule} (regex used for validation is '${pattern}')`
    : `${rule} (e.g. ${shown}regex used for validation is '${pattern}')`;
}

const encoder = new TextEncoder();
const byteLength = (value: string): number => encoder.encode(value).length;
/** A UTF-16 unit is three bytes at most, so most names need no counting. */
const tooLong = (value: string, limit: number, unit: "bytes" | "characters" = "characters"): string[] =>
  value.length * 3 > limit && byteLength(value) > limit ? [maxLengthMessage(limit, unit)] : [];

export function isDNS1123Label(value: string): string[] {
  const errors = tooLong(value, 63);
  if (dns1123Label.test(value)) return errors;
  if (dns1123Subdomain.test(value)) return [...errors, "must not contain dots"];
  const rule = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', ${ALPHANUMERIC_ENDS}`;
  return [...errors, regexMessage(rule, DNS1123_LABEL, "my-name", "123-abc")];
}

export function isDNS1123Subdomain(value: string, unit: "bytes" | "characters" = "characters"): string[] {
  const errors = tooLong(value, 253, unit);
  if (dns1123Subdomain.test(value)) return errors;
  const rule = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', ${ALPHANUMERIC_ENDS}`;
  return [...errors, regexMessage(rule, DNS1123_SUBDOMAIN, "example.com")];
}

/** A name in DNS that may have underscores: what resolvers search. */
export function isDNS1123SubdomainWithUnderscore(value: string): string[] {
  const errors = tooLong(value, 253);
  if (underscoredSubdomain.test(value)) return errors;
  const rule = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', ${ALPHANUMERIC_ENDS}`;
  return [...errors, regexMessage(rule, UNDERSCORED_SUBDOMAIN, "example.com")];
}

export function isWildcardDNS1123Subdomain(value: string): string[] {
  const errors = tooLong(value, 253);
  if (wildcardSubdomain.test(value)) return errors;
  const rule =
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
  return [...errors, regexMessage(rule, WILDCARD_SUBDOMAIN, "*.example.com")];
}

export function isDNS1035Label(value: string): string[] {
  const errors = tooLong(value, 63);
  if (dns1035Label.test(value)) return errors;
  const rule =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
  return [...errors, regexMessage(rule, DNS1035_LABEL, "my-name", "abc-123")];
}

const QUALIFIED_RULE = `must consist of alphanumeric characters, '-', '_' or '.', ${ALPHANUMERIC_ENDS}`;
const QUALIFIED_MESSAGE = regexMessage(QUALIFIED_RULE, QUALIFIED_NAME, "MyName", "my.name", "123-abc");

/** A label or annotation key, a finalizer, a resource name: "name" or "prefix.example/name". */
export function isQualifiedName(value: string): string[] {
  const parts = value.split("/");
  if (parts.length > 2) {
    return [
      `a valid label key ${QUALIFIED_MESSAGE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const name = parts.at(-1) ?? "";
  const errors: string[] = [];
  if (parts.length === 2) {
    const prefix = parts[0] ?? "";
    if (prefix === "") errors.push("prefix part must be non-empty");
    else errors.push(...isDNS1123Subdomain(prefix, "bytes").map((message) => `prefix part ${message}`));
  }
  if (name === "") errors.push("name part must be non-empty");
  else errors.push(...tooLong(name, 63, "bytes").map((message) => `name part ${message}`));
  if (!qualifiedName.test(name)) errors.push(`name part ${QUALIFIED_MESSAGE}`);
  return errors;
}

export function isLabelValue(value: string): string[] {
  const errors = tooLong(value, 63, "bytes");
  if (labelValue.test(value)) return errors;
  const rule = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', ${ALPHANUMERIC_ENDS}`;
  return [...errors, regexMessage(rule, LABEL_VALUE, "MyValue", "my_value", "12345")];
}

export function isCIdentifier(value: string): string[] {
  const rule =
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
  return cIdentifier.test(value) ? [] : [regexMessage(rule, C_IDENTIFIER, "my_name", "MY_NAME", "MyName")];
}

/** A key of a ConfigMap's or Secret's data. */
export function isConfigMapKey(value: string): string[] {
  const errors = tooLong(value, 253);
  if (!configMapKey.test(value)) {
    const rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    errors.push(regexMessage(rule, CONFIG_MAP_KEY, "key.name", "KEY_NAME", "key-name"));
  }
  if (value === ".") errors.push("must not be '.'");
  else if (value === "..") errors.push("must not be '..'");
  else if (value.startsWith("..")) errors.push("must not start with '..'");
  return errors;
}

/** A container port's name (an IANA service name). */
export function isPortName(value: string): string[] {
  const errors = tooLong(value, 15);
  if (!/^[-a-z0-9]+$/.test(value)) {
    errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(value)) errors.push("must contain at least one letter (a-z)");
  if (value.includes("--")) errors.push("must not contain consecutive hyphens");
  if (value.startsWith("-") || value.endsWith("-")) errors.push("must not begin or end with a hyphen");
  return errors;
}

export const isPortNumber = (port: number): string[] => isInRange(port, 1, 65535);

export const isInRange = (value: number, min: number, max: number): string[] =>
  value >= min && value <= max ? [] : [`must be between ${min} and ${max}, inclusive`];

/** A name as a URL's path segment: kinds whose names are not DNS names (RBAC). */
export function isPathSegmentName(value: string): string[] {
  if (value === "." || value === "..") return [`may not be '${value}'`];
  return ["/", "%"].filter((sign) => value.includes(sign)).map((sign) => `may not contain '${sign}'`);
}

/** An environment variable's name, as 1.36 takes it: any printable ASCII but "=". */
export function isEnvVarName(value: string): string[] {
  if (value === "") return ["environment variable name must be non-empty"];
  if (/^[ -<>-~]+$/.test(value)) return [];
  return ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}
