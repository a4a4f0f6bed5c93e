/** The types of what expressions in admission may name, as upstream declares them (staging/src/k8s.io/apiserver/pkg/admission/plugin/cel). */
import {
  BOOL,
  type CelType,
  DYN,
  INT,
  listOf,
  mapOf,
  objectType,
  STRING,
  TIMESTAMP,
} from "#platform/rules/cel/index.ts";

const strings = (...names: string[]): Record<string, CelType> =>
  Object.fromEntries(names.map((name) => [name, STRING]));

const versionKind = objectType("kubernetes.GroupVersionKind", strings("group", "version", "kind"));
const versionResource = objectType("kubernetes.GroupVersionResource", strings("group", "version", "resource"));
const userInfo = objectType("kubernetes.UserInfo", {
  ...strings("username", "uid"),
  groups: listOf(STRING),
  extra: mapOf(STRING, listOf(STRING)),
});

export const REQUEST: CelType = objectType("kubernetes.AdmissionRequest", {
  ...strings("subResource", "requestSubResource", "name", "namespace", "operation"),
  kind: versionKind,
  resource: versionResource,
  requestKind: versionKind,
  requestResource: versionResource,
  userInfo,
  dryRun: BOOL,
  options: DYN,
});

const metadata = objectType("kubernetes.NamespaceMetadata", {
  ...strings("name", "generateName", "namespace", "UID", "resourceVersion"),
  labels: mapOf(STRING, STRING),
  annotations: mapOf(STRING, STRING),
  creationTimestamp: TIMESTAMP,
  deletionGracePeriodSeconds: INT,
  deletionTimestamp: TIMESTAMP,
  generation: INT,
  finalizers: listOf(STRING),
});
const condition = objectType("kubernetes.NamespaceCondition", {
  ...strings("status", "type", "message", "reason"),
  lastTransitionTime: TIMESTAMP,
});

export const NAMESPACE_OBJECT: CelType = objectType("kubernetes.Namespace", {
  metadata,
  spec: objectType("kubernetes.NamespaceSpec", { finalizers: listOf(STRING) }),
  status: objectType("kubernetes.NamespaceStatus", { conditions: listOf(condition), phase: STRING }),
});
