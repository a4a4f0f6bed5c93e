/** What a change of services means for UDP flows that the kernel has recorded. */
import type { Updates } from "../nft/parts.ts";
import type { Fragment } from "./render.ts";

export interface UdpChange {
  /** "address:port" of the service. */
  service: string;
  /** Endpoints "address:port" that it no longer has. */
  gone: string[];
  /** It had no endpoint before, so flows to it may have been recorded without one. */
  first: boolean;
}

export function udpChanges(updates: Updates<Fragment>, before: (key: string) => Fragment | undefined): UdpChange[] {
  const changes: UdpChange[] = [];
  for (const [key, fragment] of updates) {
    const old = before(key)?.udp ?? new Map<string, Set<string>>();
    const now = fragment?.udp ?? new Map<string, Set<string>>();
    for (const service of new Set([...old.keys(), ...now.keys()])) {
      const had = old.get(service) ?? new Set<string>();
      const has = now.get(service) ?? new Set<string>();
      const gone = [...had].filter((endpoint) => !has.has(endpoint));
      const first = had.size === 0 && has.size > 0;
      if (gone.length > 0 || first) changes.push({ service, gone, first });
    }
  }
  return changes;
}
