/** A whole Capstan of a test's own: own data directory, ports and address ranges; wiped at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { isRoot, nodeImpossible } from "#platform/main/host.ts";
import { type Finished, findProgram, run } from "#platform/main/run.ts";

const root = resolve(import.meta.dirname, "../..");

/** Why tests with containers cannot run here; false when they can. The shape is node:test's `skip` option. */
export const skipWithoutNode: string | false =
  nodeImpossible() ?? (findProgram("kubectl") ? false : "kubectl is not on the PATH: install it to run these tests");
export const skipWithoutKubectl: string | false = findProgram("kubectl")
  ? false
  : "kubectl is not on the PATH: install it to run these tests";

export interface Instance {
  dataDir: string;
  kubeconfig: string;
  apiUrl: string;
  consoleUrl: string;
  /** kubectl with the admin's kubeconfig; rejects with its words when it fails. */
  kubectl(...args: string[]): Promise<string>;
  /** The same, whatever the exit code. */
  tryKubectl(...args: string[]): Promise<Finished>;
  capstan(...args: string[]): Promise<Finished>;
  up(): Promise<string>;
  down(): Promise<void>;
  /** Stops and wipes. */
  remove(): Promise<void>;
}

/** A list of many pods is long, and JSON cut short is none. */
const ANSWER_MAX = 32 * 1024 * 1024;

async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address ? done(address.port) : fail(new Error("no port"))));
    });
  });
}

export async function startInstance(options: { nodes?: number; args?: string[] } = {}): Promise<Instance> {
  const dataDir = mkdtempSync(join(tmpdir(), "capstan-e2e-"));
  const [api, console_, kubelet, postgres] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const common = ["--data-dir", dataDir];
  const first = [
    ...["--api-port", api, "--console-port", console_, "--kubelet-port", kubelet, "--postgres-port", postgres].map(
      String,
    ),
    ...(options.nodes !== undefined ? ["--nodes", String(options.nodes)] : isRoot() ? [] : ["--nodes", "0"]),
    ...(options.args ?? []),
  ];
  const kubeconfig = join(dataDir, "kubeconfig");
  const capstan = (...args: string[]) =>
    run(process.execPath, [join(root, "platform/main/cli.ts"), ...args, ...common], { cwd: root, timeoutMs: 900_000 });
  const tryKubectl = (...args: string[]) =>
    run("kubectl", ["--kubeconfig", kubeconfig, "--cache-dir", join(dataDir, "kube-cache"), ...args], {
      timeoutMs: 300_000,
      keep: ANSWER_MAX,
    });
  const must = (what: string, result: Finished) => {
    if (result.code !== 0)
      throw new Error(`${what} failed (exit code ${result.code}):\n${result.stdout}${result.stderr}`);
    return result.stdout;
  };
  const instance: Instance = {
    dataDir,
    kubeconfig,
    apiUrl: `https://127.0.0.1:${api}`,
    consoleUrl: `http://127.0.0.1:${console_}`,
    tryKubectl,
    capstan,
    kubectl: async (...args) => must(`kubectl ${args.join(" ")}`, await tryKubectl(...args)),
    up: async () => must("up", await capstan("up")),
    down: async () => void must("down", await capstan("down")),
    remove: async () => {
      await capstan("uninstall", "--yes");
      await capstan("reset", "--yes");
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  try {
    must("up", await capstan("up", ...first));
  } catch (error) {
    await instance.remove();
    throw error;
  }
  return instance;
}

/** Awaits a condition; when it does not come true in time, fails with what was seen last. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      last = undefined;
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs / 1000} s${last ? `; last: ${String(last)}` : ""}`);
    await delay(200);
  }
}
