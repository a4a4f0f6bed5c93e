/**
 * What one request's mutating passes remember: when a pass changed the object, everything runs once more, and of the webhooks and policies those
 * that asked for it (apiserver's reinvocation context).
 */

import { deepEqual } from "#platform/base/equal.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";

export class MutationSession {
  isReinvocation = false;
  #wanted = false;
  readonly #parts = new Map<string, SessionPart>();

  /** Something was changed in a way that others may want to see. */
  get wantsReinvocation(): boolean {
    return this.#wanted;
  }

  /** What webhooks remember is not what policies remember. */
  of(name: string): SessionPart {
    let part = this.#parts.get(name);
    if (!part) {
      part = new SessionPart(this, () => {
        this.#wanted = true;
      });
      this.#parts.set(name, part);
    }
    return part;
  }
}

export class SessionPart {
  readonly #session: MutationSession;
  readonly #want: () => void;
  #output: DynamicObject | undefined;
  readonly #asked = new Set<string>();
  readonly #again = new Set<string>();

  constructor(session: MutationSession, want: () => void) {
    this.#session = session;
    this.#want = want;
  }

  /** A pass starts with this object: what changed since the last one ended is for those who asked to be told. */
  begin(object: DynamicObject | undefined): void {
    if (this.#session.isReinvocation && !same(object, this.#output)) this.#requireAsked();
  }

  end(object: DynamicObject | undefined): void {
    this.#output = structuredClone(object);
  }

  changed(): void {
    this.#requireAsked();
    this.#want();
  }

  /** It wants to be asked again when others change the object after it. */
  asked(id: string): void {
    this.#asked.add(id);
  }

  mustReinvoke(id: string): boolean {
    return this.#again.has(id);
  }

  #requireAsked(): void {
    for (const id of this.#asked) this.#again.add(id);
    this.#asked.clear();
  }
}

const same = (a: DynamicObject | undefined, b: DynamicObject | undefined): boolean =>
  deepEqual((a ?? null) as unknown as JsonObject, (b ?? null) as unknown as JsonObject);
