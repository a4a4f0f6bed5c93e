/** How objects become rows: the columns of each resource, as kubectl prints them. A resource without a view shows its name and age. */
import type { DynamicObject } from "#sdk/api/object.ts";
import { count, list, number, record, text } from "./fields.ts";
import { podRow } from "./pod-state.ts";

export interface Column {
  title: string;
  /** "age" cells are times that the browser turns into ages. */
  kind: "text" | "number" | "state" | "age";
}

export type Cell = string | number;
/** ok: as wished; wait: on the way; bad: needs a look; off: ended or on its way out. */
export type Tone = "ok" | "wait" | "bad" | "off" | "none";

export interface Row {
  /** "namespace/name" */
  key: string;
  name: string;
  namespace: string;
  created: string;
  cells: Cell[];
  tone: Tone;
}

export interface View {
  columns: Column[];
  row(object: DynamicObject): { cells: Cell[]; tone: Tone };
}

const columns = (...titles: string[]): Column[] =>
  titles.map((entry) => {
    const [title = "", kind = "text"] = entry.split(":");
    return { title, kind: kind as Column["kind"] };
  });

const settled = (ready: number, wanted: number): Tone => (ready >= wanted ? (wanted === 0 ? "off" : "ok") : "wait");

const workload: View = {
  columns: columns("Ready:state", "Up to date:number", "Available:number", "Images"),
  row(object) {
    const spec = record(object["spec"]);
    const status = record(object["status"]);
    const wanted = number(spec["replicas"], 1);
    const ready = number(status["readyReplicas"]);
    const template = record(record(spec["template"])["spec"]);
    const images = list(template["containers"]).map((c) => text(record(c)["image"]));
    const failed = list(status["conditions"]).some(
      (c) => text(record(c)["type"]) === "Progressing" && text(record(c)["status"]) === "False",
    );
    return {
      cells: [
        `${ready}/${wanted}`,
        number(status["updatedReplicas"], number(status["fullyLabeledReplicas"])),
        number(status["availableReplicas"]),
        images.join(", "),
      ],
      tone: failed ? "bad" : settled(ready, wanted),
    };
  },
};

const service: View = {
  columns: columns("Type", "Cluster IP", "External address", "Ports"),
  row(object) {
    const spec = record(object["spec"]);
    const balancer = list(record(record(object["status"])["loadBalancer"])["ingress"]);
    const addresses = [
      ...list(spec["externalIPs"]).map(text),
      ...balancer.map((i) => text(record(i)["ip"]) || text(record(i)["hostname"])),
    ];
    const type = text(spec["type"]);
    const waiting = type === "LoadBalancer" && balancer.length === 0;
    const ports = list(spec["ports"])
      .map(record)
      .map((p) => {
        const node = number(p["nodePort"]) ? `:${number(p["nodePort"])}` : "";
        return `${number(p["port"])}${node}/${text(p["protocol"])}`;
      });
    return {
      cells: [type, text(spec["clusterIP"]), waiting ? "pending" : addresses.join(", "), ports.join(", ")],
      tone: waiting ? "wait" : "none",
    };
  },
};

const node: View = {
  columns: columns("Status:state", "Roles", "Version", "Internal address", "Runtime"),
  row(object) {
    const status = record(object["status"]);
    const ready = list(status["conditions"])
      .map(record)
      .find((c) => text(c["type"]) === "Ready");
    const isReady = text(ready?.["status"]) === "True";
    const off = record(object["spec"])["unschedulable"] === true;
    const roles = Object.keys(object.metadata.labels ?? {})
      .filter((label) => label.startsWith("node-role.kubernetes.io/"))
      .map((label) => label.slice("node-role.kubernetes.io/".length));
    const address = list(status["addresses"])
      .map(record)
      .find((a) => text(a["type"]) === "InternalIP");
    const info = record(status["nodeInfo"]);
    return {
      cells: [
        `${isReady ? "Ready" : "Not ready"}${off ? ", scheduling disabled" : ""}`,
        roles.join(", "),
        text(info["kubeletVersion"]),
        text(address?.["address"]),
        text(info["containerRuntimeVersion"]),
      ],
      tone: isReady ? (off ? "wait" : "ok") : "bad",
    };
  },
};

const namespace: View = {
  columns: columns("Status:state"),
  row(object) {
    const phase = text(record(object["status"])["phase"]) || "Active";
    return { cells: [phase], tone: phase === "Active" ? "ok" : "off" };
  },
};

const event: View = {
  columns: columns("Last seen:age", "Type:state", "Reason", "Object", "Message", "Count:number"),
  row(object) {
    const about = record(object["involvedObject"]);
    const series = record(object["series"]);
    const seen =
      text(series["lastObservedTime"]) ||
      text(object["lastTimestamp"]) ||
      text(object["eventTime"]) ||
      (object.metadata.creationTimestamp ?? "");
    const type = text(object["type"]);
    return {
      cells: [
        seen,
        type,
        text(object["reason"]),
        `${text(about["kind"])}/${text(about["name"])}`,
        text(object["message"]),
        number(series["count"], number(object["count"], 1)),
      ],
      tone: type === "Warning" ? "bad" : "none",
    };
  },
};

const plugin: View = {
  columns: columns("State:state", "Worlds", "Engine", "Enabled", "Calls:number", "Errors:number", "Why"),
  row(object) {
    const spec = record(object["spec"]);
    const status = record(object["status"]);
    const hosts = Object.values(record(status["hosts"])).map(record);
    const enabled = spec["enabled"] !== false;
    const ready = list(status["conditions"])
      .map(record)
      .find((c) => ["Ready", "Healthy", "Loaded"].includes(text(c["type"])));
    const states = [...new Set(hosts.map((host) => text(host["state"])).filter(Boolean))];
    const sum = (field: string) => hosts.reduce((total, host) => total + number(host[field]), 0);
    const reasons = [...new Set(hosts.map((host) => text(host["reason"])).filter(Boolean))];
    const good = ready ? text(ready["status"]) === "True" : hosts.length > 0 && reasons.length === 0;
    const engines = [...new Set(hosts.map((host) => text(host["engine"])).filter(Boolean))];
    return {
      cells: [
        enabled ? states.join(", ") || (good ? "Ready" : "Unknown") : "Off",
        list(spec["worlds"]).map(text).join(", "),
        engines.join(", "),
        enabled ? "yes" : "no",
        sum("calls"),
        sum("errors"),
        reasons.join("; ") || (good ? "" : text(ready?.["message"])),
      ],
      tone: enabled ? (good ? "ok" : hosts.length > 0 || ready ? "bad" : "wait") : "off",
    };
  },
};

const configMap: View = {
  columns: columns("Entries:number"),
  row: (object) => ({ cells: [count(object["data"]) + count(object["binaryData"])], tone: "none" }),
};

const plain: View = { columns: [], row: () => ({ cells: [], tone: "none" }) };

/** One list: a view for a resource is a line here. Keys are upstream's group-resource texts. */
const views: Record<string, View> = {
  pods: podRow,
  "deployments.apps": workload,
  "replicasets.apps": workload,
  services: service,
  nodes: node,
  namespaces: namespace,
  events: event,
  configmaps: configMap,
  "plugins.capstan.dev": plugin,
};

export function viewOf({ group, resource }: { group: string; resource: string }): View {
  return views[group === "" ? resource : `${resource}.${group}`] ?? plain;
}
