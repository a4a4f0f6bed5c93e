/**
 * Policies as an HTTPS webhook in a process of its own, for comparison: asked as the API server asks webhooks, by a review that is made for each
 * call and an answer that is read, checked and applied; over one connection that is kept.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { callHook, hooksOf } from "#platform/apiserver/admission/webhooks/call.ts";
import { jsonPatch, parseJsonPatch } from "#platform/apiserver/apply/json-patch.ts";
import type { AdmissionAttributes } from "#platform/apiserver/registry/admission.ts";
import type { WebhookClient } from "#platform/apiserver/webhook/client.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** "/stamp" labels what it is shown, "/registry" refuses images from elsewhere. */
const SERVER = `
  import { createServer } from "node:https";
  const policies = {
    "/stamp": ({ metadata }) => {
      const patch = metadata.labels
        ? { op: "add", path: "/metadata/labels/stamped", value: "yes" }
        : { op: "add", path: "/metadata/labels", value: { stamped: "yes" } };
      return { allowed: true, patchType: "JSONPatch", patch: Buffer.from(JSON.stringify([patch])).toString("base64") };
    },
    "/registry": ({ spec }) => {
      const wrong = spec.containers.find(({ image }) => !image.startsWith("registry.example/"));
      return wrong ? { allowed: false, status: { message: "an image from elsewhere: " + wrong.image } } : { allowed: true };
    },
  };
  process.once("message", (identity) => {
    const server = createServer(identity, (request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        const { apiVersion, kind, request: { uid, object } } = JSON.parse(Buffer.concat(chunks));
        const answer = JSON.stringify({ apiVersion, kind, response: { uid, ...policies[request.url.split("?")[0]](object) } });
        response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) });
        response.end(answer);
      });
    });
    server.listen(0, "127.0.0.1", () => process.send(server.address().port));
  });
`;

async function identity(): Promise<{ cert: string; key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=localhost",
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    keys: keys as CryptoKeyPair,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }])],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { cert: cert.toString("pem"), key };
}

/** What the API server's client does with the answer, over a connection that stays. */
const keptClient =
  (agent: Agent): WebhookClient =>
  ({ config, body }) =>
    new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
      const sent = request(config.url ?? "", { method: "POST", agent, headers, family: 4 }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString("utf8"))));
      });
      sent.on("error", reject);
      sent.end(text);
    });

export interface Webhook {
  /** Asks the policy, as the API server does; the object it made of the request's. Throws where it refuses. */
  call(policy: "stamp" | "registry", attributes: AdmissionAttributes): Promise<DynamicObject | undefined>;
  close(): Promise<void>;
}

export async function startWebhook(): Promise<Webhook> {
  const { cert, key } = await identity();
  const dir = mkdtempSync(join(tmpdir(), "capstan-bench-webhook-"));
  writeFileSync(join(dir, "server.mjs"), SERVER);
  const child = fork(join(dir, "server.mjs"), { execArgv: [] });
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(message as number)).once("error", reject);
    child.send({ cert, key });
  });
  const agent = new Agent({ keepAlive: true, ca: cert, maxSockets: 1 });
  const client = keptClient(agent);
  const configuration = {
    metadata: { name: "bench" },
    webhooks: ["stamp", "registry"].map((name) => ({
      name: `${name}.bench.example`,
      admissionReviewVersions: ["v1"],
      sideEffects: "None",
      clientConfig: { url: `https://localhost:${port}/${name}?timeout=10s` },
    })),
  };
  const [stamp, registry] = hooksOf(configuration as unknown as DynamicObject);
  if (!stamp || !registry) throw new Error("there are no hooks");
  const hooks = { stamp, registry };
  return {
    async call(policy, attributes) {
      const { kind, resource, object } = attributes;
      const asked = { hook: hooks[policy], attributes, version: { kind, resource }, object, oldObject: undefined };
      const { patch } = await callHook({ ...asked, mutating: policy === "stamp", client });
      if (!patch || !object) return object;
      return jsonPatch(object as unknown as JsonObject, parseJsonPatch(JSON.parse(patch))) as unknown as DynamicObject;
    },
    async close() {
      agent.destroy();
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill();
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
