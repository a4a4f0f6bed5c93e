/** The hooks of TypeScript guests once more, as texts (`admission-texts` in the contract): an interpreter reads records slowly. */
import type { Failure } from "./failure.ts";
import type { Mutation, Review } from "./types.ts";

/** operation, group, version, kind, resource, subresource, namespace, name, dry-run, user */
type RequestList = [string, string, string, string, string, string, string, string, boolean, unknown];

/** What came across, and what was read of it. */
interface Texts {
  /** A RequestList as JSON. */
  request: string;
  object: string;
  oldObject: string;
  context: string;
  list?: RequestList;
}

function listOf(texts: Texts): RequestList {
  texts.list ??= JSON.parse(texts.request) as RequestList;
  return texts.list;
}

type Lazily = Record<Exclude<keyof Review, keyof Texts>, unknown> & { toJSON(): Review } & ThisType<Texts & Review>;

/** The rest of a Review: nothing of the request is read before somebody asks. QuickJS makes an object on it in two thirds of a class's time. */
const LAZY: Lazily = {
  get operation() {
    return listOf(this)[0];
  },
  get group() {
    return listOf(this)[1];
  },
  get version() {
    return listOf(this)[2];
  },
  get kind() {
    return listOf(this)[3];
  },
  get resource() {
    return listOf(this)[4];
  },
  get subresource() {
    return listOf(this)[5];
  },
  get namespace() {
    return listOf(this)[6];
  },
  get name() {
    return listOf(this)[7];
  },
  get dryRun() {
    return listOf(this)[8];
  },
  get user() {
    return JSON.stringify(listOf(this)[9]);
  },
  /** All of it, for who writes it down. */
  toJSON() {
    const { operation, group, version, kind, resource, subresource, namespace, name, dryRun, user } = this;
    const { object, oldObject, context } = this;
    const request = { operation, group, version, kind, resource, subresource, namespace, name, dryRun, user };
    return { ...request, object, oldObject, context };
  },
};

const reviewOf = (request: string, object: string, oldObject: string, context: string): Review =>
  ({ __proto__: LAZY, request, object, oldObject, context }) as unknown as Review;

const OBJECT_BEGINS = 0x7b;

const isFailure = (thrown: unknown): thrown is Failure =>
  typeof thrown === "object" && thrown !== null && "reason" in thrown && "details" in thrown;

/** Hooks make a failure of whatever their author's code throws: another error is nobody's answer, and ends the instance. */
function failed(thrown: unknown): string {
  if (!isFailure(thrown)) throw thrown;
  const { reason, code, message, details } = thrown;
  return JSON.stringify({ failure: { reason, code, message, details } });
}

function answered(patch: string, warnings: string[]): string {
  if (warnings.length > 0) return `{"patch":${patch === "" ? "[]" : patch},"warnings":${JSON.stringify(warnings)}}`;
  return patch.charCodeAt(0) === OBJECT_BEGINS ? `{"patch":${patch}}` : patch;
}

type AdmissionText = (request: string, object: string, oldObject: string, context: string) => string;

/** What defineAdmission gave, as texts. */
export const admissionTexts = (hooks: {
  mutate(review: Review): Mutation;
  validate(review: Review): string[];
}): { mutate: AdmissionText; validate: AdmissionText } => ({
  mutate(request, object, oldObject, context) {
    try {
      const { patch, warnings } = hooks.mutate(reviewOf(request, object, oldObject, context));
      return answered(patch, warnings);
    } catch (thrown) {
      return failed(thrown);
    }
  },
  validate(request, object, oldObject, context) {
    try {
      return answered("", hooks.validate(reviewOf(request, object, oldObject, context)));
    } catch (thrown) {
      return failed(thrown);
    }
  },
});
