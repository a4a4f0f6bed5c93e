/**
 * What a guest may import (sdk/wit/v1/capabilities.wit), as the guest sees it. Calls block. Where the contract says
 * `result<…, failure>`, the value is returned and a failure is thrown as an Error with `payload`; the modules beside this one
 * turn that into a PluginFailure, and are what plugins import.
 */
declare module "capstan:plugin/log@1.0.0" {
  const log: { write(level: "debug" | "info" | "warn" | "error", message: string): void };
  export default log;
}

declare module "capstan:plugin/config@1.0.0" {
  const config: { get(): string; host(): string };
  export default config;
}

declare module "capstan:plugin/clock@1.0.0" {
  const clock: { now(): number; monotonic(): number };
  export default clock;
}

declare module "capstan:plugin/api@1.0.0" {
  interface Target {
    group: string;
    version: string;
    resource: string;
    subresource: string;
    namespace: string;
    name: string;
  }
  interface Selection {
    labelSelector: string;
    fieldSelector: string;
    limit: number;
    continue: string;
  }
  const api: {
    get(target: Target): string;
    list(target: Target, selection: Selection): string;
    create(target: Target, object: string): string;
    update(target: Target, object: string): string;
    patch(target: Target, kind: "json" | "merge" | "strategic", body: string): string;
    apply(target: Target, object: string, fieldManager: string, force: boolean): string;
    delete(target: Target, options: string): void;
  };
  export default api;
}

declare module "capstan:plugin/grpc@1.0.0" {
  const grpc: {
    unary(socket: string, method: string, request: Uint8Array, timeoutMs: number): Uint8Array;
    collect(socket: string, method: string, request: Uint8Array, messagesMax: number, timeoutMs: number): Uint8Array[];
    latest(socket: string, method: string, request: Uint8Array, timeoutMs: number): Uint8Array;
  };
  export default grpc;
}

declare module "capstan:plugin/exec@1.0.0" {
  const exec: {
    run(
      program: string,
      args: string[],
      env: [string, string][],
      stdin: string,
      timeoutMs: number,
    ): { exitCode: number; stdout: string; stderr: string };
  };
  export default exec;
}

declare module "capstan:plugin/files@1.0.0" {
  const files: {
    read(tree: string, path: string): string;
    write(tree: string, path: string, contents: string): void;
    remove(tree: string, path: string): void;
    list(tree: string, path: string): string[];
  };
  export default files;
}

declare module "capstan:plugin/http@1.0.0" {
  interface Request {
    method: string;
    url: string;
    headers: [string, string][];
    body: Uint8Array;
    timeoutMs: number;
  }
  interface Response {
    status: number;
    headers: [string, string][];
    body: Uint8Array;
  }
  const http: { send(request: Request): Response };
  export default http;
}

declare module "capstan:plugin/net@1.0.0" {
  const net: { show(what: string): string; apply(commands: string[]): void; replaceRules(ruleset: string): void };
  export default net;
}

declare module "capstan:plugin/mount@1.0.0" {
  interface Request {
    source: string;
    tree: string;
    path: string;
    fsType: string;
    options: string[];
  }
  const mount: {
    mount(request: Request): void;
    unmount(tree: string, path: string): void;
    format(device: string, fsType: string, options: string[]): void;
    grow(tree: string, path: string): void;
    usage(tree: string, path: string): ArrayLike<number>;
  };
  export default mount;
}
