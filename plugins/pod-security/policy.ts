/** Which level and version of the Pod Security Standards a namespace asks for, by its labels: pure (KEP-2579; pod-security-admission's api). */
import type { StatusCause } from "#sdk/api/status.ts";

export type Level = "privileged" | "baseline" | "restricted";
/** A minor version of Kubernetes 1, or "latest". */
export type Version = number | "latest";
export interface LevelVersion {
  level: Level;
  version: Version;
}
export const MODES = ["enforce", "audit", "warn"] as const;
export type Mode = (typeof MODES)[number];
export type Policy = Record<Mode, LevelVersion>;
export type Labels = Readonly<Record<string, string>>;

export const PREFIX = "pod-security.kubernetes.io/";
/** From the most to the least permissive. */
const LEVELS: readonly Level[] = ["privileged", "baseline", "restricted"];

export const versionText = (version: Version): string => (version === "latest" ? "latest" : `v1.${version}`);
export const text = ({ level, version }: LevelVersion): string => `${level}:${versionText(version)}`;
/** Below zero: `a` permits more. */
export const compareLevels = (a: Level, b: Level): number => LEVELS.indexOf(a) - LEVELS.indexOf(b);
export const isFullyPrivileged = (policy: Policy): boolean =>
  MODES.every((mode) => policy[mode].level === "privileged");
export const isSame = (a: LevelVersion, b: LevelVersion): boolean => a.level === b.level && a.version === b.version;

const parseLevel = (value: string): Level | undefined => LEVELS.find((level) => level === value);

function parseVersion(value: string): Version | undefined {
  if (value === "latest") return "latest";
  const minor = /^v1\.(0|[1-9][0-9]*)$/.exec(value)?.[1];
  return minor === undefined ? undefined : Number(minor);
}

const invalid = (label: string, value: string, why: string): StatusCause => ({
  reason: "FieldValueInvalid",
  field: `metadata.labels[${label}]`,
  message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
});

export interface Parsed {
  policy: Policy;
  /** Labels that say nothing usable. For what they leave open, enforcing is strict, and auditing and warning are silent. */
  causes: StatusCause[];
}

/** `defaults` holds where labels say nothing. */
export function policyOf(labels: Labels, defaults: Policy): Parsed {
  const policy: Policy = { enforce: { ...defaults.enforce }, audit: { ...defaults.audit }, warn: { ...defaults.warn } };
  const causes: StatusCause[] = [];
  for (const mode of MODES) {
    const level = labels[PREFIX + mode];
    if (level !== undefined) {
      const parsed = parseLevel(level);
      if (!parsed) causes.push(invalid(PREFIX + mode, level, `must be one of ${LEVELS.join(", ")}`));
      policy[mode].level = parsed ?? (mode === "enforce" ? "restricted" : "privileged");
    }
    const version = labels[`${PREFIX}${mode}-version`];
    if (version !== undefined) {
      const parsed = parseVersion(version);
      if (parsed === undefined) causes.push(invalid(`${PREFIX}${mode}-version`, version, 'must be "latest" or "v1.x"'));
      policy[mode].version = parsed ?? "latest";
    }
  }
  const enforced = parseLevel(labels[`${PREFIX}enforce`] ?? "");
  const warns = labels[`${PREFIX}warn`] !== undefined;
  // Who enforces a level without a word about warnings is warned by the same.
  if (!warns && enforced && compareLevels(enforced, policy.warn.level) > 0) {
    policy.warn.level = enforced;
    if (labels[`${PREFIX}warn-version`] === undefined) policy.warn.version = policy.enforce.version;
  }
  return { policy, causes };
}

export const PRIVILEGED: Policy = {
  enforce: { level: "privileged", version: "latest" },
  audit: { level: "privileged", version: "latest" },
  warn: { level: "privileged", version: "latest" },
};
