/** A policy as an HTTPS webhook in a process of its own, for comparison: it parses the review and answers a patch. */
import { Agent, request } from "node:https";
import { Worker } from "node:worker_threads";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const SERVER = `
  import { createServer } from "node:https";
  import { parentPort, workerData } from "node:worker_threads";
  const server = createServer(workerData, (request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { object } = JSON.parse(Buffer.concat(chunks));
      const labels = { ...object.metadata.labels, stamped: "yes" };
      const patch = Buffer.from(JSON.stringify([{ op: "add", path: "/metadata/labels", value: labels }])).toString("base64");
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ response: { uid: "1", allowed: true, patchType: "JSONPatch", patch } }));
    });
  });
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

/** Milliseconds of each call, over one connection that is kept. */
export async function startWebhook(
  review: string,
): Promise<{ times(count: number): Promise<number[]>; close(): Promise<void> }> {
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
  const pem = cert.toString("pem");
  const worker = new Worker(SERVER, { eval: true, workerData: { cert: pem, key } });
  const port = await new Promise<number>((resolve, reject) => worker.once("message", resolve).once("error", reject));
  const agent = new Agent({ keepAlive: true, ca: pem, maxSockets: 1 });
  const call = () =>
    new Promise<void>((resolve, reject) => {
      const options = { method: "POST", agent, headers: { "content-type": "application/json" } };
      const sent = request(`https://localhost:${port}/`, { ...options, family: 4 }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => {
          JSON.parse(Buffer.from(JSON.parse(text).response.patch, "base64").toString("utf8"));
          resolve();
        });
      });
      sent.on("error", reject);
      sent.end(review);
    });
  return {
    async times(count) {
      for (let i = 0; i < 100; i++) await call();
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const started = performance.now();
        await call();
        times.push(performance.now() - started);
      }
      return times;
    },
    async close() {
      agent.destroy();
      await worker.terminate();
    },
  };
}
