/** Which devices claims have, kept by difference: claims are many, and each decision asks. */
import type { AllocationResult } from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import type { InUse } from "./allocator.ts";
import { plus, type Taken } from "./capacity.ts";

interface Use {
  id: string;
  /** Undefined: the whole device. */
  share?: Taken;
}

export interface UseTable extends InUse {
  /** What this holder has now; undefined: nothing. */
  put(holder: string, allocation: AllocationResult | undefined): void;
}

export function createUseTable(): UseTable {
  const holders = new Map<string, Use[]>();
  const whole = new Map<string, number>();
  const shared = new Map<string, { count: number; taken: Taken }>();

  const move = ({ id, share }: Use, sign: 1 | -1) => {
    if (!share) {
      const count = (whole.get(id) ?? 0) + sign;
      if (count > 0) whole.set(id, count);
      else whole.delete(id);
      return;
    }
    const before = shared.get(id) ?? { count: 0, taken: {} };
    const count = before.count + sign;
    if (count > 0) shared.set(id, { count, taken: plus(before.taken, share, sign === 1 ? 1n : -1n) });
    else shared.delete(id);
  };

  return {
    whole,
    shared: {
      has: (id) => shared.has(id),
      get: (id) => shared.get(id)?.taken,
    },
    put(holder, allocation) {
      for (const use of holders.get(holder) ?? []) move(use, -1);
      const uses = usesOf(allocation);
      if (uses.length > 0) holders.set(holder, uses);
      else holders.delete(holder);
      for (const use of uses) move(use, 1);
    },
  };
}

/** Who looks after devices uses none of them. */
function usesOf(allocation: AllocationResult | undefined): Use[] {
  return (allocation?.devices?.results ?? []).flatMap(
    ({ driver, pool, device, adminAccess, shareID, consumedCapacity }) => {
      if (adminAccess) return [];
      const id = `${driver}/${pool}/${device}`;
      if (!shareID) return [{ id }];
      const amounts = Object.entries(consumedCapacity ?? {}).map(([name, amount]) => [
        name,
        parseQuantity(amount).nano,
      ]);
      return [{ id, share: Object.fromEntries(amounts) as Taken }];
    },
  );
}
