/** Reviews and answers of components that export `admission-texts` (sdk/wit/v1/admission.wit). What comes back is checked as it is read. */
import type { Failure } from "#sdk/plugin/failure.ts";
import type { AdmissionRequest } from "./admission.ts";

/** What a component made of a review. */
export interface Answer {
  /** A JSON Patch, a merge patch, or undefined. Not checked yet. */
  patch?: unknown;
  warnings: readonly string[];
  /** It failed, or refuses. */
  failure?: Failure;
}

export const userOf = ({ user: { name, uid, groups, extra } }: AdmissionRequest) => ({ name, uid, groups, extra });

/** The object's own name where the request has none. */
export const nameOf = ({ name, object }: AdmissionRequest): string => name || (object?.metadata.name ?? "");

/** `request` of the contract. */
export function requestText(request: AdmissionRequest): string {
  const { operation, kind, resource, subresource, namespace, dryRun } = request;
  const kinds = [kind.group, kind.version, kind.kind, resource.resource, subresource];
  return JSON.stringify([operation, ...kinds, namespace, nameOf(request), dryRun, userOf(request)]);
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

const isFailure = (value: unknown): value is Failure =>
  isRecord(value) &&
  typeof value["reason"] === "string" &&
  typeof value["code"] === "number" &&
  typeof value["message"] === "string" &&
  typeof value["details"] === "string";

/** Throws for what is no answer. */
export function readAnswer(text: string): Answer {
  if (text === "") return { warnings: [] };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`it is no JSON: ${JSON.stringify(text.slice(0, 80))}`);
  }
  if (Array.isArray(value)) return { patch: value, warnings: [] };
  if (!isRecord(value)) throw new Error("it is neither a list nor an object");
  const { patch, warnings = [], failure } = value;
  if (failure !== undefined) {
    if (!isFailure(failure)) throw new Error("its failure is not the contract's");
    return { warnings: [], failure };
  }
  if (!Array.isArray(warnings) || !warnings.every((one) => typeof one === "string"))
    throw new Error("its warnings are no list of texts");
  return { patch, warnings };
}
