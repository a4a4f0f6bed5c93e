/** DELETE of an object (the generic registry's Delete). */
import { conflict, notFound, OPTIMISTIC_LOCK } from "#sdk/api/status.ts";
import { checkDeleteOptions, checkPreconditions, planDeletion } from "./deletion.ts";
import { encode, type Written } from "./document.ts";
import { type Pipeline, UPDATE_ATTEMPTS_MAX } from "./pipeline.ts";
import type { DeleteOptions, RequestContext, ResourceEntry } from "./strategy.ts";

export interface Removed {
  /** It is gone; otherwise something still holds it. */
  removed: boolean;
  written: Written;
  uid: string;
}

export class Removal {
  readonly #pipeline: Pipeline;

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /** The object when something still holds it or the kind answers with it; `status` otherwise. */
  async delete(
    context: RequestContext,
    entry: ResourceEntry,
    namespace: string,
    name: string,
    options: DeleteOptions,
  ): Promise<Removed> {
    checkDeleteOptions(options);
    const key = this.#pipeline.key(context, entry, namespace, name);
    let admitted = false;
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#pipeline.store.get(key, { type: "consistent" });
      if (!stored) throw notFound(entry.facts, name);
      const old = await this.#pipeline.toVersion(context, entry, stored);
      checkPreconditions(entry, old, options);
      entry.strategy.checkDelete?.(old, context);
      if (!admitted) {
        const review = { operation: "DELETE" as const, subresource: "", oldObject: old, dryRun: options.dryRun };
        await this.#pipeline.admit(context, entry, review);
        await this.#pipeline.validateAdmission(context, entry, review);
        admitted = true;
      }
      const { outcome, object } = planDeletion(entry, structuredClone(old), options, this.#pipeline.clock.now());
      const removed = outcome === "remove";
      if (outcome === "keep")
        return {
          removed,
          written: { document: stored.document, revision: stored.revision, created: false },
          uid: stored.uid,
        };
      const document = encode(await this.#pipeline.toStorage(context, entry, object), entry.strategy);
      if (options.dryRun)
        return {
          removed,
          written: { document: document.document, revision: stored.revision, created: false },
          uid: stored.uid,
        };
      const effects = await this.#pipeline.effects(context, entry, {
        operation: removed ? "delete" : "update",
        subresource: "",
        object,
        old,
        dryRun: false,
      });
      const expected = { uid: stored.uid, revision: stored.revision };
      const result = await this.#pipeline.store.write(
        this.#pipeline.transaction(
          { type: removed ? "delete" : "update", key, object: document, expected },
          effects,
          [],
        ),
      );
      if (result.ok)
        return {
          removed,
          written: { document: document.document, revision: result.revisions[0] ?? 0, created: false },
          uid: stored.uid,
        };
      if (result.why !== "changed" && result.why !== "notFound") {
        const refusal = effects.refused?.(result);
        if (refusal) throw refusal;
      }
      if (attempt >= UPDATE_ATTEMPTS_MAX) throw conflict(entry.facts, name, OPTIMISTIC_LOCK);
    }
  }
}
