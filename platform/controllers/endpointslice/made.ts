/**
 * Slices that a loop has made and its informer has not shown yet (upstream: EndpointSliceTracker). Their names are the server's: whoever plans without
 * them makes them again.
 */
import type { EndpointSlice } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { ENDPOINT_SLICES } from "../resources.ts";
import type { SlicePlan } from "./reconcile.ts";

const uidOf = ({ metadata }: EndpointSlice): string => metadata.uid ?? "";

export class MadeSlices {
  /** By the key of the service, then uid. */
  readonly #made = new Map<string, Map<string, EndpointSlice>>();

  /** Those that the informer shows, and those that it does not show yet. */
  with(key: string, shown: readonly EndpointSlice[]): EndpointSlice[] {
    for (const slice of shown) this.shown(key, slice);
    return [...shown, ...(this.#made.get(key)?.values() ?? [])];
  }

  /** The informer has it now. */
  shown(key: string, slice: EndpointSlice): void {
    const made = this.#made.get(key);
    made?.delete(uidOf(slice));
    if (made?.size === 0) this.#made.delete(key);
  }

  /** The service is gone. */
  forget(key: string): void {
    this.#made.delete(key);
  }

  /** `showing`: what the informer shows when it is asked. */
  async apply(client: Client, key: string, plan: SlicePlan, showing: () => readonly EndpointSlice[]): Promise<void> {
    for (const slice of plan.create) {
      const created = await client.create(ENDPOINT_SLICES, slice);
      if (showing().some((one) => uidOf(one) === uidOf(created))) continue;
      const made = this.#made.get(key) ?? new Map<string, EndpointSlice>();
      this.#made.set(key, made.set(uidOf(created), created));
    }
    try {
      for (const slice of plan.update) {
        const updated = await client.update(ENDPOINT_SLICES, slice);
        const made = this.#made.get(key);
        if (made?.has(uidOf(updated))) made.set(uidOf(updated), updated);
      }
    } catch (error) {
      // It may have been deleted before the informer showed it, which it never will.
      if (isReason(error, "NotFound")) this.forget(key);
      throw error;
    }
    for (const slice of plan.delete) {
      await remove(client, slice);
      this.shown(key, slice);
    }
  }
}

export async function remove(client: Client, { metadata }: EndpointSlice): Promise<void> {
  const { namespace, name = "", uid } = metadata;
  try {
    await client.delete(ENDPOINT_SLICES, { namespace, name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}
