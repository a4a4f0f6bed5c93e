/** Conditions of a status, as apimachinery's meta/v1/validation has them. */
import type { Condition } from "#sdk/api/generated/types.ts";
import { isQualifiedName } from "#sdk/api/names.ts";
import { type Causes, duplicate, invalidValue, notSupported, required, tooLongValue } from "../registry/causes.ts";
import { each } from "./checks.ts";

const STATUSES = ["False", "True", "Unknown"];
const REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";
const REASON_HINT =
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' " +
  `(e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '${REASON}')`;
const REASON_LENGTH_MAX = 1024;
const MESSAGE_LENGTH_MAX = 32_768;

function validateCondition(condition: Partial<Condition>, at: string): Causes {
  const { type = "", status = "", observedGeneration = 0, lastTransitionTime, reason = "", message = "" } = condition;
  return [
    ...each(isQualifiedName(type), `${at}.type`, type),
    ...(STATUSES.includes(status) ? [] : [notSupported(`${at}.status`, status, STATUSES)]),
    ...(observedGeneration < 0
      ? [invalidValue(`${at}.observedGeneration`, observedGeneration, "must be greater than or equal to zero")]
      : []),
    ...(lastTransitionTime ? [] : [required(`${at}.lastTransitionTime`)]),
    ...(reason === ""
      ? [required(`${at}.reason`)]
      : new RegExp(`^${REASON}$`).test(reason)
        ? []
        : [invalidValue(`${at}.reason`, reason, REASON_HINT)]),
    ...(reason.length > REASON_LENGTH_MAX ? [tooLongValue(`${at}.reason`, REASON_LENGTH_MAX)] : []),
    ...(message.length > MESSAGE_LENGTH_MAX ? [tooLongValue(`${at}.message`, MESSAGE_LENGTH_MAX)] : []),
  ];
}

export function validateConditions(conditions: readonly Partial<Condition>[] | undefined, field: string): Causes {
  const types = (conditions ?? []).map(({ type = "" }) => type);
  return (conditions ?? []).flatMap((condition, i) => [
    ...(types.indexOf(types[i] ?? "") < i ? [duplicate(`${field}[${i}].type`, types[i])] : []),
    ...validateCondition(condition, `${field}[${i}]`),
  ]);
}
