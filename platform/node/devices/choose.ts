/** Which devices a container gets (devicemanager, devicesToAllocate). Messages are upstream's. */

export interface Wanted {
  /** Pod and container, for the message. */
  uid: string;
  container: string;
  resource: string;
  count: number;
  /** What it has already; undefined: nothing. */
  has: readonly string[] | undefined;
  /** Undefined: nobody ever registered the resource. */
  healthy: ReadonlySet<string> | undefined;
  inUse: ReadonlySet<string>;
  /** Of init containers of the same pod that will have ended. */
  reusable: ReadonlySet<string>;
  /** The ids that the plugin would rather give; undefined: it has no opinion. */
  preferred?(available: string[], mustInclude: string[], count: number): Promise<string[]>;
}

/** The devices to ask the plugin for; none: the container has all that it wants. Rejects with why there are not enough. */
export async function chooseDevices(wanted: Wanted): Promise<string[]> {
  const { resource, count, has, healthy } = wanted;
  if (has !== undefined && has.length !== count)
    throw new Error(
      `pod ${JSON.stringify(wanted.uid)} container ${JSON.stringify(wanted.container)} changed request for resource ${JSON.stringify(resource)} from ${has.length} to ${count}`,
    );
  if (healthy === undefined) throw new Error(`cannot allocate unregistered device ${resource}`);
  if (healthy.size === 0) throw new Error(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
  if (has?.some((id) => !healthy.has(id)))
    throw new Error(
      `previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`,
    );
  if (has !== undefined || count === 0) return [];
  const chosen = [...wanted.reusable].sort().slice(0, count);
  const left = count - chosen.length;
  if (left === 0) return chosen;
  const available = [...healthy].filter((id) => !wanted.inUse.has(id)).sort();
  if (available.length < left)
    throw new Error(
      `requested number of devices unavailable for ${resource}. Requested: ${left}, Available: ${available.length}`,
    );
  const preferred = (await wanted.preferred?.([...available, ...chosen], chosen, count)) ?? [];
  const first = preferred.filter((id) => available.includes(id));
  return [...chosen, ...new Set([...first, ...available])].slice(0, count);
}
