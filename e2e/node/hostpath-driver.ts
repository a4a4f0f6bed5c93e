/** The original csi-driver-host-path and its sidecars, as processes beside a node: built from their Go modules, unmodified. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir, buildModuleBinary, type ModuleBinary, moduleSource, notBuilt } from "../conformance/suite.ts";
import { type Registrar, startRegistrar } from "./csi-driver.ts";

export const DRIVER_NAME = "hostpath.csi.k8s.io";

const CSI = "github.com/kubernetes-csi";
const CLIENT = `${CSI}/external-snapshotter/client/v8`;
const SNAPSHOTTER = {
  module: `${CSI}/external-snapshotter/v8@v8.7.0`,
  nested: { path: CLIENT, module: `${CLIENT}@v8.7.0` },
};
const DRIVER: ModuleBinary = {
  name: "hostpathplugin",
  module: `${CSI}/csi-driver-host-path@v1.18.0`,
  package: "./cmd/hostpathplugin",
};
const SIDECARS: readonly ModuleBinary[] = [
  { name: "csi-provisioner", module: `${CSI}/external-provisioner/v6@v6.3.0`, package: "./cmd/csi-provisioner" },
  { name: "csi-attacher", module: `${CSI}/external-attacher/v4@v4.13.0`, package: "./cmd/csi-attacher" },
  { name: "csi-resizer", module: `${CSI}/external-resizer/v2@v2.3.0`, package: "./cmd/csi-resizer" },
  { name: "csi-snapshotter", ...SNAPSHOTTER, package: "./cmd/csi-snapshotter" },
  { name: "snapshot-controller", ...SNAPSHOTTER, package: "./cmd/snapshot-controller" },
];

/** Why the driver cannot be had here; undefined: it can. Asks the module proxy for it where it was not built before. */
export async function driverImpossible(): Promise<string | undefined> {
  const impossible = notBuilt(defaultBuildDir(), DRIVER.name);
  if (impossible !== undefined) return impossible;
  if (existsSync(join(binDir(defaultBuildDir()), DRIVER.name))) return undefined;
  try {
    await moduleSource(DRIVER.module);
    return undefined;
  } catch (error) {
    const said = messageOf(error).trim().split("\n").at(-1) ?? "";
    return `${DRIVER.module} cannot be had (${said.slice(0, 200)}): build it into ${binDir(defaultBuildDir())}`;
  }
}

/** Builds what is missing; the first time it takes minutes. */
export async function buildDriver(): Promise<void> {
  for (const binary of [DRIVER, ...SIDECARS]) await buildModuleBinary(defaultBuildDir(), binary);
}

/** The definitions of VolumeSnapshot and its like, as files: the controllers want those of groups too. */
export async function snapshotDefinitions(): Promise<string[]> {
  const folder = join(await moduleSource(SNAPSHOTTER.nested.module), "config/crd");
  return readdirSync(folder)
    .filter((name) => name.includes("snapshot.storage.k8s.io_"))
    .map((name) => join(folder, name));
}

export interface HostpathDriver {
  registrar: Registrar;
  /** Where its volumes and snapshots are. */
  stateDir: string;
  close(): Promise<void>;
}

export interface HostpathOptions {
  nodeName: string;
  nodeDirectory: string;
  kubeconfig: string;
  /** For the driver's state and the programs' output. */
  directory: string;
}

export async function startHostpathDriver(options: HostpathOptions): Promise<HostpathDriver> {
  const { nodeName, nodeDirectory, kubeconfig, directory } = options;
  const stateDir = join(directory, "state");
  const sockets = join(nodeDirectory, "plugins/csi-hostpath");
  for (const path of [stateDir, sockets]) mkdirSync(path, { recursive: true });
  const socket = join(sockets, "csi.sock");
  const children: ChildProcess[] = [];
  const start = (name: string, args: string[]) => {
    const out = openSync(join(directory, `${name}.log`), "a");
    children.push(spawn(join(binDir(defaultBuildDir()), name), args, { stdio: ["ignore", out, out] }));
  };
  start(DRIVER.name, [
    ...[`--drivername=${DRIVER_NAME}`, `--endpoint=unix://${socket}`, `--nodeid=${nodeName}`],
    ...[`--statedir=${stateDir}`, "--enable-attach", "--enable-controller-modify-volume", "--v=5"],
  ]);
  const clients = [`--kubeconfig=${kubeconfig}`, "--v=4"];
  const beside = [...clients, `--csi-address=${socket}`];
  start("csi-provisioner", [...beside, "--feature-gates=Topology=true", "--extra-create-metadata"]);
  start("csi-attacher", beside);
  start("csi-resizer", beside);
  start("csi-snapshotter", beside);
  start("snapshot-controller", clients);
  const registrar = await startRegistrar(DRIVER_NAME, socket, nodeDirectory);
  return {
    registrar,
    stateDir,
    async close() {
      registrar.close();
      const running = children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      await Promise.all(
        running.map(async (child) => {
          const ended = once(child, "exit");
          child.kill("SIGKILL");
          await ended;
        }),
      );
    },
  };
}
