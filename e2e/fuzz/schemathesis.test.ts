/**
 * Schemathesis makes requests from the server's own OpenAPI, good ones and ones that break each rule of the schema: none may be answered
 * with a server error, and what was taken in must be good enough to be written again. FUZZ_SECONDS (15 a group) says how long, FUZZ_GROUPS
 * which groups' versions (apis/batch/v1,apis/policy/v1), FUZZ_SEED repeats a run: a failure prints it.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { run } from "#platform/main/run.ts";
import type { KubeList, KubeObject } from "#sdk/api/object.ts";
import { Cluster } from "../support/cluster.ts";
import { pythonWith } from "../support/python.ts";

const python = await pythonWith("schemathesis==4.32.5");
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 15);
const groups = process.env["FUZZ_GROUPS"]?.split(",") ?? ["api/v1", "apis/apps/v1", "apis/networking.k8s.io/v1"];
const seed = process.env["FUZZ_SEED"];
/** Streams, and requests that are passed on to somebody else. */
const EXCLUDED = "/watch/|/(exec|attach|portforward|proxy|log)(/|$)";

interface OpenApi {
  paths: Record<string, Record<string, { parameters?: { name: string }[] }>>;
}

/** A watch never ends by itself, so nobody asks for one here. */
function withoutWatch(document: OpenApi): OpenApi {
  for (const operations of Object.values(document.paths))
    for (const operation of Object.values(operations))
      if (operation.parameters) operation.parameters = operation.parameters.filter(({ name }) => name !== "watch");
  for (const item of Object.values(document.paths) as { parameters?: { name: string }[] }[])
    if (Array.isArray(item.parameters)) item.parameters = item.parameters.filter(({ name }) => name !== "watch");
  return document;
}

describe("requests made from the schema", { skip: python.skip }, () => {
  let cluster: Cluster;
  let dir: string;
  const url = (path: string) => `${cluster.servers[0]?.url}${path}`;
  const get = async <T>(path: string) => (await cluster.client.send("GET", url(path))).body as T;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "capstan-fuzz-"));
    cluster = await Cluster.start({ servers: 1, engine: "jco" });
  });
  after(async () => {
    await cluster?.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  for (const group of groups) {
    it(`of ${group} are never answered with a server error`, async () => {
      const file = join(dir, "openapi.json");
      writeFileSync(file, JSON.stringify(withoutWatch(await get<OpenApi>(`/openapi/v3/${group}`))));
      const { cert, key } = cluster.credentialFiles;
      const args = [
        ...["run", file, "--url", url(""), "--tls-verify", "false", "--request-cert", cert, "--request-cert-key", key],
        ...["--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--max-time", String(seconds)],
        ...["--max-examples", "5", "--continue-on-failure", "--no-shrink", "--request-timeout", "20"],
        ...(seed ? ["--seed", seed] : []),
        ...["--exclude-path-regex", EXCLUDED, "--warnings", "off", "--no-color"],
      ];
      const { code, stdout, stderr } = await run(join(python.bin, "schemathesis"), args, {
        cwd: dir,
        timeoutMs: 170_000,
      });
      assert.equal(code, 0, `${stdout.slice(-6_000)}${stderr}\n${cluster.servers[0]?.lastWords}`);
      assert.match(stdout, /Test cases:\s+\d+ generated/);
    });
  }

  it("have stored nothing that could not be written again", async () => {
    let written = 0;
    for (const path of ["/api/v1/configmaps", "/api/v1/services", "/api/v1/pods", "/apis/apps/v1/deployments"]) {
      const { items } = await get<KubeList<KubeObject>>(`${path}?limit=200`);
      const [kind, apiVersion] = kindOf(path);
      for (const item of items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)) {
        const { namespace, name } = item.metadata;
        const at = path.replace(/\/(\w+)$/, `/namespaces/${namespace}/$1/${name}?dryRun=All&fieldValidation=Strict`);
        const { code, body } = await cluster.client.send("PUT", url(at), { ...item, kind, apiVersion });
        assert.equal(code, 200, `${at}: ${JSON.stringify(body)}`);
        written++;
      }
    }
    if (groups.includes("api/v1")) assert.ok(written > 0, "no request created anything: is the schema served whole?");
    assert.equal((await get<{ status?: string }>("/api/v1/namespaces/default")).status === "Failure", false);
  });
});

const kindOf = (path: string): [string, string] => {
  const kinds: Record<string, string> = {
    configmaps: "ConfigMap",
    services: "Service",
    pods: "Pod",
    deployments: "Deployment",
  };
  const parts = path.split("/");
  return [kinds[parts.at(-1) ?? ""] ?? "", path.startsWith("/api/") ? "v1" : parts.slice(2, 4).join("/")];
};
