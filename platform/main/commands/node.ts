/** `capstan node …`: other machines join, and leave. */
import { existsSync, readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { prepareArtifacts, prepareEngine } from "../artifacts.ts";
import type { Command } from "../command.ts";
import { type Config, paths, readConfig } from "../config.ts";
import { checkSocketPaths } from "../containerd.ts";
import { checkDisk, checkPort, installPackages, missingPackages, nodeImpossible } from "../host.ts";
import { hostChanges } from "../host-changes.ts";
import { loadOwnImages } from "../images.ts";
import { discover } from "../join/discovery.ts";
import { deleteNode, drainNode } from "../join/drain.ts";
import { authorityHash, invite } from "../join/invitation.ts";
import { enroll, renewCertificates } from "../join/joined.ts";
import { isAlive, launch, readIdentity } from "../processes.ts";
import { hostAddress, instanceOf, type Options } from "../settings.ts";
import { supervisorSpec } from "../specs.ts";
import { step, UserError } from "../steps.ts";
import { forgetReport } from "../supervisor.ts";
import { waitReady } from "../wait-ready.ts";

const USAGE = "npx capstan node token   # or: join URL --token T, drain NAME, remove NAME, renew";
const TOKEN = /^[a-z0-9]{6}\.[a-z0-9]{16}$/;
const DRAIN_MS_MAX = 300_000;

export const node: Command = {
  usage: "node VERB …",
  help: "token (for a machine that is to join), join URL --token T, drain NAME, remove NAME, renew (certificates)",
  async run(options, [verb, target]) {
    switch (verb) {
      case "token":
        return await asAdmin(options, (client, config) => printToken(client, config));
      case "join":
        return await joinCluster(options, target);
      case "drain":
        return await asAdmin(options, (client) => drain(client, required(target)));
      case "remove":
        return await asAdmin(options, (client) => remove(client, required(target)));
      case "renew":
        return await renew(options);
      default:
        throw new UserError("node needs a verb", USAGE);
    }
  },
};

function required(name: string | undefined): string {
  if (!name) throw new UserError("the name of a node is missing", USAGE);
  return name;
}

async function asAdmin(options: Options, act: (client: Client, config: Config) => Promise<number>): Promise<number> {
  const config = readConfig(options.dataDir);
  if (config.joined)
    throw new UserError("this machine is a node of another's cluster", `do this where ${config.joined.server} runs`);
  const client = createClient(loadKubeconfig(paths(options.dataDir).kubeconfig));
  try {
    return await act(client, config);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (error instanceof StatusError && error.reason !== "ServiceUnavailable")
      throw new UserError(error.message, USAGE);
    throw new UserError(`the API server does not answer: ${messageOf(error)}`, "npm run up");
  } finally {
    client.close();
  }
}

async function printToken(client: Client, config: Config): Promise<number> {
  const ca = readFileSync(join(paths(config.dataDir).pki, "ca.crt"), "utf8");
  const server = `https://${hostAddress()}:${config.api.port}`;
  const token = await invite(client, config, server, ca);
  process.stdout.write(`npx capstan node join ${server} --token ${token} --ca-cert-hash ${authorityHash(ca)}\n`);
  const others = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  if (!others.some(({ internal, family }) => !internal && family === "IPv4"))
    process.stderr.write("! this machine has no address but loopback: no other machine can reach it\n");
  return 0;
}

async function joinCluster(options: Options, url: string | undefined): Promise<number> {
  const { dataDir, token = "", caCertHash } = options;
  if (!url || !URL.canParse(url)) throw new UserError("the API server's URL is missing", USAGE);
  if (!TOKEN.test(token)) throw new UserError("--token is missing, or no token (ID.SECRET)", USAGE);
  if (existsSync(paths(dataDir).config))
    throw new UserError(
      `${dataDir} holds an instance already`,
      `npx capstan reset --data-dir ${dataDir}   # or another --data-dir`,
    );
  const impossible = nodeImpossible();
  if (impossible) throw new UserError(impossible, "run it as root on Linux");
  const nodeName = options.name ?? hostname().toLowerCase();
  const kubeletPort = options.kubeletPort ?? 10_250;
  await checkPort("0.0.0.0", kubeletPort, "--kubelet-port", () => undefined);
  process.stdout.write("This will change on the host (`npx capstan uninstall` takes it back):\n");
  for (const change of hostChanges(dataDir, instanceOf(dataDir), 1)) process.stdout.write(`  - ${change}\n`);
  const server = new URL(url).origin;
  const discovered = await step("who the cluster is", () => discover(server, token, caCertHash));
  const { engine } = await step("component engine", (s) => prepareEngine(options.engine, dataDir, s));
  const request = { dataDir, server, token, nodeName, kubeletPort, engine };
  const config = await step(
    "an identity for this node",
    () =>
      enroll(request, discovered).catch((error: unknown) => {
        if (error instanceof UserError) throw error;
        throw new UserError(
          `the cluster gave this machine no identity: ${messageOf(error)}`,
          "npx capstan node token   # on the control plane's machine",
        );
      }),
    ({ nodes: [one] }) => `${one?.name}, pods ${one?.podCIDR}`,
  );
  return await startJoined(config);
}

/** From an enrolled data directory to a running node; `up` does this too. */
export async function startJoined(config: Config): Promise<number> {
  const { dataDir } = config;
  const { run, logs } = paths(dataDir);
  checkDisk(dataDir);
  checkSocketPaths(config);
  const missing = missingPackages().map((p) => p.name);
  if (missing.length) await step("Debian packages", (s) => installPackages(dataDir, missing, s));
  await step("components", (s) => prepareArtifacts(config, s));
  if (!isAlive(readIdentity(run, "supervisor"))) {
    forgetReport(run);
    launch(supervisorSpec(dataDir), run, logs);
  }
  const [one] = config.nodes;
  await waitReady(config, "containerd", [`containerd-${one?.name}`]);
  await step("images", () => loadOwnImages(config));
  await waitReady(config, "node");
  process.stdout.write(`\n${one?.name} is a node of ${config.joined?.server}.\n`);
  return 0;
}

async function drain(client: Client, name: string): Promise<number> {
  const left = await step(`draining ${name}`, (s) =>
    drainNode(client, name, DRAIN_MS_MAX, (count) => s.progress(`${count} pods`)),
  ).catch((error: unknown) => {
    if (isReason(error, "NotFound")) throw new UserError(`there is no node ${name}`, "kubectl get nodes");
    throw error;
  });
  for (const pod of left) process.stderr.write(`! ${pod} did not leave\n`);
  return left.length === 0 ? 0 : 1;
}

async function remove(client: Client, name: string): Promise<number> {
  const drained = await drain(client, name);
  if (drained !== 0) return drained;
  await deleteNode(client, name);
  process.stdout.write(`${name} is no node any more; on that machine: npx capstan uninstall\n`);
  return 0;
}

async function renew(options: Options): Promise<number> {
  const config = readConfig(options.dataDir);
  const [one] = config.nodes;
  if (!config.joined || !one)
    throw new UserError("certificates of this machine are renewed by `up`", "npm run down && npm run up");
  await step("certificates", () => renewCertificates(config, one, true, Date.now()));
  const agent = readIdentity(paths(options.dataDir).run, `node-${one.name}`);
  // The supervisor starts it again, with the new ones; its pods go on meanwhile.
  if (isAlive(agent)) {
    process.kill(agent.pid, "SIGTERM");
    await delay(1_000);
    await waitReady(config, "node");
  }
  return 0;
}
