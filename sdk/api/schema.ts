/** The compact form of an API type's structure: what OpenAPI says, without prose. */
import type { GroupVersionKind, Json } from "./object.ts";

export interface Schema {
  /** Unset with `ref`, for "int-or-string" and "quantity" formats, and for fields that take any JSON. */
  type?: "string" | "integer" | "number" | "boolean" | "object" | "array";
  /** OpenAPI's formats (int32, int64, double, byte, date-time) and ours: "int-or-string", "quantity", "micro-time", "raw" (any JSON). */
  format?: string;
  /** Name of a definition in `facts.types`. */
  ref?: string;
  /** A document of this type, or a boolean, a list of such documents, a list of strings; anything else is dropped, or an error beside a boolean. */
  either?: { ref: string; or: "boolean" | "list" | "strings" };
  /** Element of an array. */
  items?: Schema;
  /** Value of a map with free keys. */
  values?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  /** As OpenAPI says it: mostly Go's zero values ("", {}, 0), a few real ones ("TCP"). `zero` says what is written. */
  default?: Json;
  /** What is written when the field is absent; unset: nothing is. A struct's {} is filled by its own fields' zeros. */
  zero?: Json;
  /** A Go pointer: an empty value that was sent is kept. Other fields drop "", 0, false, [] and {} where `zero` is unset. */
  pointer?: boolean;
  /** The Go type where it is not the usual one for the schema, for the wording of decoding errors: "v1.ResourceList". */
  goType?: string;
  /** Embedded Go structs on the way to the field, for the same wording: "ProbeHandler.". */
  goPath?: string;
  enum?: Json[];
  nullable?: boolean;
  listType?: "atomic" | "set" | "map";
  listMapKeys?: string[];
  mapType?: "atomic" | "granular";
  /** "merge", "replace", "retainKeys" or "merge,retainKeys". */
  patchStrategy?: string;
  patchMergeKey?: string;
  unions?: Json[];
  preserveUnknownFields?: boolean;
  gvks?: GroupVersionKind[];
}

export interface SubresourceFacts {
  /** "status", "scale", "log" … */
  name: string;
  /** Set where the subresource's object is of another group version than its resource's (scale: autoscaling/v1). */
  group?: string;
  version?: string;
  kind: string;
  verbs: string[];
}

/** One resource as discovery tells it. The server's list of served resources is a list of these. */
export interface ResourceFacts {
  group: string;
  version: string;
  resource: string;
  kind: string;
  singular: string;
  namespaced: boolean;
  /** In upstream's order; empty for a resource that has only subresources. */
  verbs: string[];
  shortNames: string[];
  categories: string[];
  subresources: SubresourceFacts[];
  storageVersionHash?: string;
}

export interface GroupFacts {
  name: string;
  /** The preferred version first. */
  versions: string[];
}

export interface Facts {
  /** In upstream's order of priority; the core group ("") first. */
  groups: GroupFacts[];
  resources: ResourceFacts[];
  /** Of group versions that are served only where somebody asks for them. */
  optional: ResourceFacts[];
  /** By upstream's definition name, e.g. "io.k8s.api.core.v1.PodSpec". */
  types: Record<string, Schema>;
}
