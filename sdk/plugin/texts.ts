/** The hooks of TypeScript guests once more, as texts (`admission-texts` in the contract): an interpreter reads records slowly. */
import { type Failure, failureOf } from "./failure.ts";
import type { Mutation, Review } from "./types.ts";

/** operation, group, version, kind, resource, subresource, namespace, name, dry-run, user */
type RequestList = [string, string, string, string, string, string, string, string, boolean, unknown];

/** What an author sees of it is a Review; of the request nothing is read before somebody asks. */
class TextReview implements Review {
  readonly object: string;
  readonly oldObject: string;
  readonly context: string;
  readonly #text: string;
  #list: RequestList | undefined;
  constructor(text: string, object: string, oldObject: string, context: string) {
    this.#text = text;
    this.object = object;
    this.oldObject = oldObject;
    this.context = context;
  }
  get #request(): RequestList {
    this.#list ??= JSON.parse(this.#text) as RequestList;
    return this.#list;
  }
  get operation(): string {
    return this.#request[0];
  }
  get group(): string {
    return this.#request[1];
  }
  get version(): string {
    return this.#request[2];
  }
  get kind(): string {
    return this.#request[3];
  }
  get resource(): string {
    return this.#request[4];
  }
  get subresource(): string {
    return this.#request[5];
  }
  get namespace(): string {
    return this.#request[6];
  }
  get name(): string {
    return this.#request[7];
  }
  get dryRun(): boolean {
    return this.#request[8];
  }
  get user(): string {
    return JSON.stringify(this.#request[9]);
  }
  /** All of it, for who writes it down. */
  toJSON(): Review {
    const { operation, group, version, kind, resource, subresource, namespace, name, dryRun, user } = this;
    const { object, oldObject, context } = this;
    const request = { operation, group, version, kind, resource, subresource, namespace, name, dryRun, user };
    return { ...request, object, oldObject, context };
  }
}

const OBJECT_BEGINS = 0x7b;

const isFailure = (thrown: unknown): thrown is Failure =>
  typeof thrown === "object" && thrown !== null && "reason" in thrown && "details" in thrown;

function failed(thrown: unknown): string {
  const { reason, code, message, details } = isFailure(thrown) ? thrown : failureOf(thrown);
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
      const { patch, warnings } = hooks.mutate(new TextReview(request, object, oldObject, context));
      return answered(patch, warnings);
    } catch (thrown) {
      return failed(thrown);
    }
  },
  validate(request, object, oldObject, context) {
    try {
      return answered("", hooks.validate(new TextReview(request, object, oldObject, context)));
    } catch (thrown) {
      return failed(thrown);
    }
  },
});
