/** From the command line's options and what an earlier `up` chose, the Config that every role is started with. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { cidrOf, nth, podRangeOfNode } from "#platform/network/host/addresses.ts";
import { type Family, parseRange, rangeFamily } from "#platform/rules/ranges.ts";
import { type Config, type Engine, type NodeConfig, paths, readConfig } from "./config.ts";
import { foreignServiceRanges, freeRange, hostRoutes, placeNodes } from "./nodes.ts";
import {
  mergeServerOptions,
  parseServerOptions,
  type ServerOptions,
  serverFlags,
  serverOptionHelp,
} from "./server-options.ts";
import { UserError } from "./steps.ts";

export interface Options {
  dataDir: string;
  apiPort?: number;
  consolePort?: number;
  kubeletPort?: number;
  postgresPort?: number;
  databaseUrl?: string;
  nodes?: number;
  engine?: Engine;
  /** What nodes run: containers (and components), or components alone. */
  runtime?: "containers" | "wasm";
  podCIDR?: string;
  serviceCIDR?: string;
  /** The ranges of a second family, after the comma of the options above. */
  secondary?: { podCIDR: string; serviceCIDR: string };
  role?: string;
  /** `node join`: the bootstrap token, the authority's hash, the node's name. */
  token?: string;
  caCertHash?: string;
  name?: string;
  /** What was given of the API server's own options. */
  server?: ServerOptions;
  yes: boolean;
}

export const optionHelp = `options:
  --data-dir PATH       where everything is kept (default: .capstan in the clone)
  --api-port N          the Kubernetes API (default 6443)
  --console-port N      the web console (default 8080)
  --kubelet-port N      the node agent (default 10250)
  --postgres-port N     the embedded PostgreSQL (default 54329)
  --database-url URL    a PostgreSQL of your own instead of the embedded one (or DATABASE_URL); with a standby: …@one:5432,two:5432/…
  --nodes N             node agents on this machine, each in a network namespace of its own when there are several; 0 for none
  --runtime containers|wasm  wasm: a node for WebAssembly components alone, without root (what there is where containers cannot run)
  --engine wasmtime|jco what runs components (default wasmtime where its addon is built)
  --pod-cidr, --service-cidr  address ranges (default: the first free ones from 10.244.0.0/16 and 10.96.0.0/16); for both families two each,
                        the default family's first: --pod-cidr 10.244.0.0/16,fd00:10:244::/56 --service-cidr 10.96.0.0/16,fd00:10:96::/112
  --role NAME           run one role in the foreground: apiserver, controllers, scheduler, console, node-NAME
  --token T, --ca-cert-hash sha256:H, --name NAME   of \`node join\`
  --yes                 do not ask

${serverOptionHelp}`;

const projectDir = resolve(import.meta.dirname, "../..");

export { projectDir };

function numberOption(name: string, text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UserError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`, "npm run up -- --help");
  return value;
}

/** The options' ranges: one each, or two each of different families in the same order. */
function rangeOptions(
  pods: string | undefined,
  services: string | undefined,
): Pick<Options, "podCIDR" | "serviceCIDR" | "secondary"> {
  const [podRanges, serviceRanges] = [pods?.split(",") ?? [], services?.split(",") ?? []];
  const example =
    "npm run up -- --pod-cidr 10.244.0.0/16,fd00:10:244::/56 --service-cidr 10.96.0.0/16,fd00:10:96::/112";
  const families = (list: readonly string[]) => list.map((text) => parseRange(text)?.family);
  for (const text of [...podRanges, ...serviceRanges])
    if (!parseRange(text)?.canonical)
      throw new UserError(`${JSON.stringify(text)} is not a range of addresses`, example);
  const isTwo = podRanges.length > 1 || serviceRanges.length > 1 || families(podRanges)[0] === 6;
  const [first, second, ...more] = families(podRanges);
  if (isTwo && (String(families(podRanges)) !== String(families(serviceRanges)) || first === second || more.length > 0))
    throw new UserError("pods and services need ranges of the same families, one each, in the same order", example);
  const tooSmall = podRanges.find((text) => (parseRange(text)?.bits ?? 0) > (text.includes(":") ? 64 : 24));
  if (tooSmall) throw new UserError(`${tooSmall} holds no node's range: a /24 of IPv4, a /64 of IPv6`, example);
  const [[podCIDR, podSecond], [serviceCIDR, serviceSecond]] = [podRanges, serviceRanges];
  return {
    podCIDR,
    serviceCIDR,
    ...(podSecond && serviceSecond ? { secondary: { podCIDR: podSecond, serviceCIDR: serviceSecond } } : {}),
  };
}

/** Nodes of `up` on one machine, and of `simulate`. */
const NODES_MAX = 16;
const SIMULATED_MAX = 100_000;

export function parseOptions(argv: string[]): { options: Options; positionals: string[]; help: boolean } {
  const names = [
    "data-dir",
    "api-port",
    "console-port",
    "kubelet-port",
    "postgres-port",
    "database-url",
    "nodes",
    "engine",
    "runtime",
    "pod-cidr",
    "service-cidr",
    "role",
    "token",
    "ca-cert-hash",
    "name",
  ] as const;
  const string = { type: "string" as const };
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        ...Object.fromEntries([...names, ...serverFlags()].map((name) => [name, string])),
        yes: { type: "boolean", short: "y" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error), "npx capstan --help");
  }
  const value = (name: string) => {
    const given = parsed.values[name];
    return typeof given === "string" ? given : undefined;
  };
  const engine = value("engine");
  if (engine !== undefined && engine !== "wasmtime" && engine !== "jco")
    throw new UserError(`--engine is wasmtime or jco, not "${engine}"`, "npm run up -- --engine wasmtime");
  const runtime = value("runtime");
  if (runtime !== undefined && runtime !== "containers" && runtime !== "wasm")
    throw new UserError(`--runtime is containers or wasm, not "${runtime}"`, "npm run up -- --runtime wasm");
  return {
    options: {
      runtime,
      dataDir: resolve(value("data-dir") ?? process.env["CAPSTAN_DATA_DIR"] ?? join(projectDir, ".capstan")),
      apiPort: numberOption("api-port", value("api-port"), 1, 65535),
      consolePort: numberOption("console-port", value("console-port"), 1, 65535),
      kubeletPort: numberOption("kubelet-port", value("kubelet-port"), 1, 65535),
      postgresPort: numberOption("postgres-port", value("postgres-port"), 1, 65535),
      databaseUrl: value("database-url") ?? process.env["DATABASE_URL"],
      nodes: numberOption("nodes", value("nodes"), 0, parsed.positionals[0] === "simulate" ? SIMULATED_MAX : NODES_MAX),
      engine,
      ...rangeOptions(value("pod-cidr"), value("service-cidr")),
      role: value("role"),
      token: value("token"),
      caCertHash: value("ca-cert-hash"),
      name: value("name"),
      server: parseServerOptions(value),
      yes: parsed.values["yes"] === true,
    },
    positionals: parsed.positionals,
    help: parsed.values["help"] === true,
  };
}

/** The address of a family by which this machine is known to others, where it has one. */
export function hostAddressOf(family: Family): string | undefined {
  const all = Object.entries(networkInterfaces()).flatMap(([name, list]) => (list ?? []).map((i) => ({ name, ...i })));
  const usable = all.filter(
    (i) =>
      i.family === family && !i.internal && !i.address.startsWith("fe80") && !/^(cap|docker|veth|cni|br-)/.test(i.name),
  );
  return usable[0]?.address;
}

/** The same; loopback where it has no other. */
export const hostAddress = (family: Family = "IPv4"): string =>
  hostAddressOf(family) ?? (family === "IPv4" ? "127.0.0.1" : "::1");

export const instanceOf = (dataDir: string): string => createHash("sha256").update(dataDir).digest("hex").slice(0, 6);

/** Where the instances of one machine see each other's address ranges. */
const INSTANCES = "/run/capstan";

interface Claim {
  dataDir: string;
  podCIDR: string;
  serviceCIDR: string;
}

/** Instances of this machine but for this one; those whose data directory was deleted by hand do not count. */
export function otherClaims(instance: string): Claim[] {
  if (!existsSync(INSTANCES)) return [];
  return readdirSync(INSTANCES)
    .filter((name) => name.endsWith(".json") && name !== `${instance}.json`)
    .map((name) => JSON.parse(readFileSync(join(INSTANCES, name), "utf8")) as Claim)
    .filter((claim) => existsSync(claim.dataDir));
}

/** Where another instance of this machine keeps its data, of those that were given this port. */
export function dataDirWithPort(instance: string, port: number): string | undefined {
  const has = ({ api, console: pages, postgres, nodes }: Config) =>
    [api.port, pages.port, postgres?.port, ...nodes.map((node) => node.kubeletPort)].includes(port);
  return otherClaims(instance).find(({ dataDir }) => existsSync(paths(dataDir).config) && has(readConfig(dataDir)))
    ?.dataDir;
}

/** The first candidate that neither a route or rule of this host nor another instance uses. */
function chooseRange(instance: string, candidates: readonly string[], taken: readonly string[]): string {
  const free = freeRange(candidates, [...hostRoutes(), ...foreignServiceRanges(instance), ...taken.map(cidrOf)]);
  if (free) return free;
  throw new UserError(
    "no free private address range is left on this machine",
    "npm run up -- --pod-cidr A.B.0.0/16 --service-cidr C.D.0.0/16",
  );
}

const podRanges = Array.from({ length: 10 }, (_, i) => `10.${244 - i}.0.0/16`);
const serviceRanges = Array.from({ length: 10 }, (_, i) => `10.${96 + i}.0.0/16`);

type Ranges = Pick<Config, "podCIDR" | "serviceCIDR" | "secondary">;

function nodesOf(options: Options, before: Config | undefined, ranges: Ranges, dataDir: string): NodeConfig[] {
  const { podCIDR, secondary } = ranges;
  const count = options.nodes ?? before?.nodes.length ?? 1;
  const wasBefore = before?.nodes[0]?.componentsOnly ? "wasm" : "containers";
  const componentsOnly = (options.runtime ?? wasBefore) === "wasm";
  if (componentsOnly && count > 1)
    throw new UserError(
      "several nodes on one machine need containers: each has a network of its own",
      "npm run up -- --runtime wasm --nodes 1",
    );
  const same = before?.nodes.length === count && (options.runtime ?? wasBefore) === wasBefore;
  const sameFamilies = podCIDR === before?.podCIDR && secondary?.podCIDR === before?.secondary?.podCIDR;
  if (before && same && sameFamilies && options.kubeletPort === undefined) return before.nodes;
  return Array.from({ length: count }, (_, index) => {
    const name = `node-${index + 1}`;
    return {
      name,
      address: hostAddress(rangeFamily(podCIDR)),
      kubeletPort: options.kubeletPort ?? before?.nodes[0]?.kubeletPort ?? 10250,
      podCIDR: podRangeOfNode(podCIDR, index),
      ...(secondary ? { secondary: secondaryOf(secondary.podCIDR, index) } : {}),
      containerdSocket: join(paths(dataDir).node(name), "containerd", "containerd.sock"),
      ...(componentsOnly ? { componentsOnly } : {}),
    };
  });
}

function secondaryOf(podCIDR: string, index: number): NonNullable<NodeConfig["secondary"]> {
  const address = hostAddressOf(rangeFamily(podCIDR));
  return { podCIDR: podRangeOfNode(podCIDR, index), ...(address ? { address } : {}) };
}

/** Keeps what an earlier `up` chose; options win over it. Written with 0600: it holds the database's password. */
export function makeConfig(options: Options, engine: Engine): Config {
  const { dataDir } = options;
  const file = paths(dataDir).config;
  const before = existsSync(file) ? readConfig(dataDir) : undefined;
  const instance = instanceOf(dataDir);
  const claims = otherClaims(instance);
  const podCIDR =
    options.podCIDR ??
    before?.podCIDR ??
    chooseRange(
      instance,
      podRanges,
      claims.map((c) => c.podCIDR),
    );
  const serviceCIDR =
    options.serviceCIDR ??
    before?.serviceCIDR ??
    chooseRange(
      instance,
      serviceRanges,
      claims.map((c) => c.serviceCIDR),
    );
  const port = options.postgresPort ?? before?.postgres?.port ?? 54329;
  const own = options.databaseUrl ?? (before && !before.postgres ? before.databaseUrl : undefined);
  const secondary = options.secondary ?? ((options.podCIDR ?? options.serviceCIDR) ? undefined : before?.secondary);
  const ranges = { serviceCIDR, podCIDR, ...(secondary ? { secondary } : {}) };
  const anywhere = secondary || rangeFamily(serviceCIDR) === "IPv6" ? "::" : "0.0.0.0";
  const config: Config = {
    dataDir,
    instance,
    api: {
      host: before?.api.host.replace(/^0\.0\.0\.0$/, anywhere) ?? anywhere,
      port: options.apiPort ?? before?.api.port ?? 6443,
    },
    console: { host: "127.0.0.1", port: options.consolePort ?? before?.console.port ?? 8080 },
    // The embedded one's is known when its cluster has been made (database.ts).
    databaseUrl: own ?? "",
    ...(own ? {} : { postgres: { port } }),
    ...ranges,
    dns: { domain: "cluster.local", address: nth(cidrOf(serviceCIDR), 10) },
    engine,
    nodes: nodesOf(options, before, ranges, dataDir),
  };
  const server = mergeServerOptions(before?.server, options.server ?? {});
  return { ...config, ...(server ? { server } : {}), nodes: placeNodes(config) };
}

export function writeConfig(config: Config): void {
  mkdirSync(config.dataDir, { recursive: true, mode: 0o711 });
  writeFileSync(paths(config.dataDir).config, JSON.stringify(config, null, 2), { mode: 0o600 });
  if (process.getuid?.() !== 0) return;
  mkdirSync(INSTANCES, { recursive: true });
  const claim: Claim = { dataDir: config.dataDir, podCIDR: config.podCIDR, serviceCIDR: config.serviceCIDR };
  writeFileSync(join(INSTANCES, `${config.instance}.json`), JSON.stringify(claim));
}

export const releaseClaim = (instance: string): void => rmSync(join(INSTANCES, `${instance}.json`), { force: true });
