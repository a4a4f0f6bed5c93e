/** Differences that stay, each with its reason. */
export const known: readonly { kind: string; pattern: RegExp; reason: string }[] = [
  {
    kind: "*",
    pattern: /^\.columnDefinitions\[\d+\]\.description/,
    reason: "the original's descriptions are its prose, which is not copied",
  },
  {
    kind: "*",
    pattern: /^\.message: original ".*: field not declared in schema/,
    reason:
      "an unknown field ends the search of an applied map for mistakes there; what comes before it is for Go's map order to say",
  },
  {
    kind: "Pod",
    pattern: /^code: original 422 .*, here 403 .*Pod Overhead set without corresponding RuntimeClass/,
    reason:
      "the component that knows RuntimeClasses is asked once, when it may still change the pod; the original asks again after validation",
  },
  {
    kind: "Pod",
    pattern: /original .*invalid resource name .*here /,
    reason:
      "the original's own client refuses to ask for a class or account whose name has a slash in it; here it is one that is not there",
  },
  {
    kind: "PersistentVolumeClaim",
    pattern: /causes\[\d\]\.field: original "\.spec\.dataSourceRef\.kind", here "\.spec\.dataSourceRef\.apiGroup"$/,
    reason:
      "where an applied struct appears anew its value fields count as there: a conflict over a dropped one names one field more",
  },
  {
    kind: "*",
    pattern: /(\.managedFields: original absent, here \[|\.managedFields\[\d\]\.fieldsV1: expected map, got )/,
    reason:
      "where a template's own managedFields are no fields the original forgets who owns what; to look for that would cost every write",
  },
  {
    kind: "NetworkPolicy",
    pattern: /metadata\.generation: original (\d+), here \d+$/,
    reason: "an empty list instead of none counts as a change of the spec there; here it is the same as none",
  },
  {
    kind: "*",
    pattern:
      /\.status\.conditions\[\d\]\.(message: original .*(is not present|no such object|it exists)", here|reason: original "Installing")/,
    reason: "a condition that follows a change does so after it was answered, on each server in its own time",
  },
  {
    kind: "ResourceSlice",
    pattern: /\.metadata\.generation: original 2, here 1$/,
    reason: "there a field of a feature that is off counts as a change, though it is not kept",
  },
  {
    kind: "LimitRange",
    pattern: /\.managedFields\[\d\]\.manager: original "two", here "one"$/,
    reason:
      "an empty map instead of none counts as a change there, though it is not written; here it is the same as none",
  },
];

/** Parts of messages that stay different, cut from both servers' before they are compared, each with its reason. */
export const dumps: readonly { field: RegExp; message: RegExp; cut: string; reason: string }[] = [
  {
    field: /^spec$/,
    message: /^Invalid value: \{(?=[\s\S]*"InlineVolumeSpec":\{)[\s\S]*\}(?=: field is immutable$)/,
    cut: "Invalid value: <attachment>",
    reason: "the original prints a volume's whole source as Go's internal struct, with names that no client knows",
  },
  {
    field: /^spec\.versions$|^spec\.(validation|versions\[\d+\]\.schema)\.openAPIV3Schema$/,
    message: /^Invalid value: [[{](?=[\s\S]*"[oO]penAPIV3Schema":|[\s\S]*"type":|[\s\S]*"Type":)[\s\S]*[\]}](?=: )/,
    cut: "Invalid value: <schema>",
    reason: "the original prints whole schemas as Go's internal struct, with names that no client knows",
  },
  {
    field: /^spec(\.persistentvolumesource)?$/,
    message: /\n[\s\S]*$/,
    cut: "",
    reason: "after its sentence the original shows a textual difference of two of Go's internal structs",
  },
  {
    field: /^spec\.template(\.spec)?$/,
    message: /^Invalid value: \{[\s\S]*\}(?=: field is immutable$)/,
    cut: "Invalid value: <template>",
    reason: "the original prints a whole pod template as Go's internal struct, with names that no client knows",
  },
  {
    field: /^(data|spec|spec\..*)$/,
    message: /^Invalid value: (\[\]|null)(?=: )/,
    cut: "Invalid value: <nothing>",
    reason:
      "an empty list is kept and printed by the original where it was sent; here it is the same as none, in messages too",
  },
];
