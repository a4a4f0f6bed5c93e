/** The pages that list something. One list: a page more is a line more. */
export interface Resource {
  group: string;
  version: string;
  resource: string;
}

export interface Place extends Resource {
  /** In the URL. */
  id: string;
  title: string;
  kind: string;
  namespaced: boolean;
  section: "Workloads" | "Network" | "Configuration" | "Cluster";
}

const place = (
  section: Place["section"],
  group: string,
  resource: string,
  kind: string,
  title: string,
  namespaced = true,
): Place => ({ section, group, version: "v1", resource, kind, title, namespaced, id: resource });

export const places: readonly Place[] = [
  place("Workloads", "apps", "deployments", "Deployment", "Deployments"),
  place("Workloads", "apps", "replicasets", "ReplicaSet", "Replica sets"),
  place("Workloads", "", "pods", "Pod", "Pods"),
  place("Network", "", "services", "Service", "Services"),
  place("Configuration", "", "configmaps", "ConfigMap", "Config maps"),
  place("Cluster", "", "nodes", "Node", "Nodes", false),
  place("Cluster", "", "namespaces", "Namespace", "Namespaces", false),
  place("Cluster", "", "events", "Event", "Events"),
  place("Cluster", "capstan.dev", "plugins", "Plugin", "Plugins", false),
];

export const sections = ["Workloads", "Network", "Configuration", "Cluster"] as const;
export const placeOf = (id: string): Place | undefined => places.find((p) => p.id === id);
export const resourceOf = ({ group, version, resource }: Resource): Resource => ({ group, version, resource });
