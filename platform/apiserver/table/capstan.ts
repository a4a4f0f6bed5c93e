/** Tables of our own kinds: a plugin's row sums over the hosts that run it. */
import type { Plugin, PluginHostStatus, Tenant } from "#sdk/api/generated/types.ts";
import { NONE, since } from "./format.ts";
import { AGE, integer, NAME, nameOf, printer, text, wide } from "./printer.ts";

const distinct = (values: (string | undefined)[], empty: string): string =>
  [...new Set(values.filter(Boolean))].sort().join(",") || empty;

type Counter = "calls" | "errors" | "restarts" | "memoryBytes";
const sum = (hosts: readonly PluginHostStatus[], counter: Counter): number =>
  hosts.reduce((total, host) => total + (host[counter] ?? 0), 0);

export const plugins = printer<Plugin>({
  columns: [
    NAME,
    ...text("Worlds", "Engine", "State"),
    ...integer("Calls", "Errors"),
    AGE,
    ...wide("Digest", "Memory", "Restarts"),
  ],
  cells(o, now) {
    const hosts = Object.values(o.status?.hosts ?? {});
    const state = distinct(
      hosts.map((host) => host.state),
      "Pending",
    );
    return [
      nameOf(o),
      (o.spec?.worlds ?? []).join(",") || NONE,
      distinct(
        hosts.map((host) => host.engine),
        NONE,
      ),
      o.spec?.enabled === false ? "Disabled" : state,
      sum(hosts, "calls"),
      sum(hosts, "errors"),
      since(o.metadata.creationTimestamp, now),
      o.spec?.digest ?? NONE,
      `${Math.ceil(sum(hosts, "memoryBytes") / 2 ** 20)}Mi`,
      String(sum(hosts, "restarts")),
    ];
  },
});

export const tenants = printer<Tenant>({
  columns: [NAME, ...text("Status"), ...wide("Id"), AGE],
  cells: (o, now) => [
    nameOf(o),
    o.status?.phase ?? "",
    String(o.status?.id ?? NONE),
    since(o.metadata.creationTimestamp, now),
  ],
});
