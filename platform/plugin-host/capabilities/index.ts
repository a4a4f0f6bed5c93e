/**
 * The one place where it is decided what a component may do. Default: nothing but log, and config and clock, which the engine answers itself (sdk/engine/port.ts, `own`). What the manifest asks for and
 * the Plugin object (root's to write) carries is granted by name; every other call fails with the reason "Denied".
 */
import type { Clock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import type { Client } from "#sdk/client/port.ts";
import type { HostCall } from "#sdk/engine/port.ts";
import type { Capability, PluginSpec } from "#sdk/plugin/manifest.ts";
import type { CallContext } from "../pool.ts";
import type { Viewer } from "../port.ts";
import { callApi, withinRules } from "./api.ts";
import { runProgram } from "./exec.ts";
import { denied, hostFailure } from "./failure.ts";
import { useFiles } from "./files.ts";
import type { GrpcCaller } from "./grpc.ts";
import { type HttpRequest, sendHttp } from "./http.ts";
import { createMounts, type MountRequest } from "./mounts.ts";
import { applyNet, replaceRules, showNet, tableOf } from "./net.ts";

const LOG_LINE_MAX = 4096;

export interface CapabilityOptions {
  plugin: string;
  /** Whose plugin it is. */
  tenant: string;
  spec: PluginSpec;
  /** The API as the plugin's own user, addressed at a tenant; undefined where the role has none to give. */
  client?: (plugin: string, tenant: string, owner: string, viewer?: Viewer) => Client;
  grpc: GrpcCaller;
  /** What {names} in granted paths stand for. */
  variables: Record<string, string>;
  log: Log;
  /** Where what the plugin says is kept for its owner. */
  say?: (level: string, message: string) => void;
  clock: Clock;
  /** A call was refused, for the counts. */
  onDenied: () => void;
}

/** What a call leaves of its deadline for the guest to make something of a host call's failure: a part of it, and so much at most. */
const GUEST_PART = 0.1;
const GUEST_MS_MAX = 250;

/** Of the plugin's deadline, what a host call may take: whoever is slow outside is answered for, not stopped. */
function remainingMs(context: CallContext, now: number): number {
  const left = context.deadlineAt - now;
  return Math.max(1, left - Math.min(GUEST_MS_MAX, left * GUEST_PART));
}

/** Fails with the reason "Timeout" when the answer is late. */
function inTime<T>(what: string, answer: Promise<T>, milliseconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () =>
      reject(hostFailure("Timeout", 504, `${what} was not answered in ${Math.round(milliseconds)} ms`));
    const timer = setTimeout(late, milliseconds);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

type Handler = (args: never, context: CallContext) => unknown;
type Grant<N extends Capability["name"]> = Extract<Capability, { name: N }>;

/** "{dataDir}/x" with the role's variables; throws for one that the role does not define. */
export const expandPath = (path: string, variables: Record<string, string>): string =>
  path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`the path ${path} needs {${name}}, which this role does not define`);
    return value;
  });

export function createHostCalls(o: CapabilityOptions): (context: CallContext) => HostCall {
  const handlers = handlersOf(o);
  return (context) => (interfaceName, functionName, args) => {
    const handler = handlers[`${interfaceName.replace("capstan:plugin/", "")}.${functionName}`];
    if (!handler) {
      o.onDenied();
      throw denied(`${interfaceName} ${functionName}`);
    }
    return handler(args as never, context);
  };
}

function handlersOf(o: CapabilityOptions): Record<string, Handler> {
  const grant = <N extends Capability["name"]>(name: N) =>
    o.spec.capabilities.find((capability): capability is Grant<N> => capability.name === name);
  const refuse = (what: string) => {
    o.onDenied();
    return denied(what);
  };
  const named = (names: Record<string, string>, capability: string, name: string): string => {
    const path = Object.hasOwn(names, name) ? names[name] : undefined;
    if (path === undefined) throw refuse(`${capability} ${JSON.stringify(name)}`);
    return expandPath(path, o.variables);
  };
  const levels = { debug: o.log.debug, info: o.log.info, warn: o.log.warn, error: o.log.error };
  const handlers: Record<string, Handler> = {
    "log.write": ([level, message]: [keyof typeof levels, string], context) => {
      const text = message.slice(0, LOG_LINE_MAX);
      o.say?.(level, text);
      // A tenant's plugin is its owner's to read; the role's log is the operator's.
      if (!o.say || o.tenant === "root") levels[level](text, { hook: context.hook, tenant: context.tenant });
    },
  };
  const api = grant("api");
  for (const verb of ["get", "list", "create", "update", "patch", "apply", "delete"] as const) {
    handlers[`api.${verb}`] = (args: unknown[], context) => {
      if (!api || !o.client) throw refuse("api");
      if (api.access === "read" && verb !== "get" && verb !== "list") throw refuse(`api ${verb}`);
      // Who looks lends their rights, but no more of them than the plugin was approved for.
      if (context.user && !withinRules(api.rules ?? [], verb, args[0]))
        throw refuse(`api ${verb} of what it did not ask for`);
      const client = o.client(o.plugin, context.tenant, o.tenant, context.user);
      const answer = callApi(client, verb, args, o.plugin);
      return inTime(`api ${verb}`, answer, remainingMs(context, o.clock.now()));
    };
  }
  const grpc = grant("grpc");
  const left = (context: CallContext, timeoutMs: number) => {
    const remaining = remainingMs(context, o.clock.now());
    return timeoutMs > 0 ? Math.min(timeoutMs, remaining) : remaining;
  };
  handlers["grpc.unary"] = ([socket, method, request, timeoutMs]: [string, string, Uint8Array, number], context) =>
    o.grpc.unary(named(grpc?.sockets ?? {}, "grpc", socket), method, request, left(context, timeoutMs));
  handlers["grpc.collect"] = (
    [socket, method, request, messagesMax, timeoutMs]: [string, string, Uint8Array, number, number],
    context,
  ) =>
    o.grpc.collect(named(grpc?.sockets ?? {}, "grpc", socket), method, request, messagesMax, left(context, timeoutMs));
  handlers["grpc.latest"] = ([socket, method, request, timeoutMs]: [string, string, Uint8Array, number], context) =>
    o.grpc.latest(named(grpc?.sockets ?? {}, "grpc", socket), method, request, left(context, timeoutMs));
  const http = grant("http");
  handlers["http.send"] = ([request]: [HttpRequest & { timeoutMs: number }], context) => {
    if (!http) throw refuse("http");
    return sendHttp(request, http.origins, left(context, request.timeoutMs), o.tenant === "root");
  };
  const exec = grant("exec");
  handlers["exec.run"] = (
    [program, args, env, stdin, timeoutMs]: [string, string[], [string, string][], string, number],
    context,
  ) =>
    runProgram(named(exec?.programs ?? {}, "exec", program), {
      args,
      env: Object.fromEntries(env),
      stdin,
      timeoutMs: left(context, timeoutMs),
    });
  const files = grant("files");
  for (const verb of ["read", "write", "remove", "list"] as const) {
    handlers[`files.${verb}`] = ([tree, path, contents]: [string, string, string]) =>
      useFiles(named(files?.trees ?? {}, "files", tree), verb, path, contents);
  }
  return {
    ...handlers,
    ...netHandlers(o, grant("net"), refuse, left),
    ...mountHandlers(o, grant("mount"), refuse, left),
  };
}

type Refuse = (what: string) => Error;
type Left = (context: CallContext, timeoutMs: number) => number;

function netHandlers(
  { plugin, variables }: CapabilityOptions,
  net: Grant<"net"> | undefined,
  refuse: Refuse,
  left: Left,
): Record<string, Handler> {
  const granted = (): Grant<"net"> => {
    if (!net) throw refuse("net");
    return net;
  };
  return {
    "net.show": ([what]: [string], context) => granted() && showNet(what, left(context, 0)),
    "net.apply": ([commands]: [string[]], context) => applyNet(commands, granted().links, left(context, 0)),
    "net.replaceRules": ([ruleset]: [string], context) =>
      replaceRules(ruleset, tableOf(variables["dataDir"] ?? "", plugin, granted().table), left(context, 0)),
  };
}

function mountHandlers(
  { variables }: CapabilityOptions,
  mount: Grant<"mount"> | undefined,
  refuse: Refuse,
  left: Left,
): Record<string, Handler> {
  const mounts = () => {
    if (!mount) throw refuse("mount");
    const trees = Object.entries(mount.trees).map(([name, path]) => [name, expandPath(path, variables)] as const);
    return createMounts({ trees: Object.fromEntries(trees), devices: mount.devices });
  };
  return {
    "mount.mount": ([request]: [MountRequest], context) => mounts().mount(request, left(context, 0)),
    "mount.unmount": ([tree, path]: [string, string], context) => mounts().unmount(tree, path, left(context, 0)),
    "mount.format": ([device, fsType, options]: [string, string, string[]], context) =>
      mounts().format(device, fsType, options, left(context, 0)),
    "mount.grow": ([tree, path]: [string, string], context) => mounts().grow(tree, path, left(context, 0)),
    "mount.usage": ([tree, path]: [string, string]) => mounts().usage(tree, path),
  };
}
