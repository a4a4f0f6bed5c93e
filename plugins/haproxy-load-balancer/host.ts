/** The host as this plugin sees it; the component passes the SDK's capability modules, tests pass their own. */
import type { GroupVersionResource, JsonObject, KubeList, KubeObject } from "#sdk/api/object.ts";
import type { Output, RunOptions } from "#sdk/plugin/exec.ts";

export interface Settings {
  /** A range, or one of each family separated by a comma; "" for those that are free. */
  pool: string;
  /** Interface that carries the addresses. */
  link: string;
  /** Absolute path of the tree "state". */
  directory: string;
}

export interface Ref {
  namespace?: string;
  name?: string;
  subresource?: string;
}

export interface Host {
  api: {
    find<T extends KubeObject>(r: GroupVersionResource, ref: Ref): T | undefined;
    list<T extends KubeObject>(r: GroupVersionResource, o: { namespace?: string; labelSelector?: string }): KubeList<T>;
    create<T extends KubeObject>(r: GroupVersionResource, object: T): T;
    patch<T extends KubeObject>(r: GroupVersionResource, ref: Ref, kind: "merge", body: JsonObject): T;
  };
  run(program: "haproxy" | "ip" | "ss", options: RunOptions): Output;
  files: {
    read(tree: string, path: string): string;
    write(tree: string, path: string, contents: string): void;
    remove(tree: string, path: string): void;
    list(tree: string, path: string): string[];
  };
  /** Milliseconds since the epoch. */
  now(): number;
  settings(): Settings;
}
