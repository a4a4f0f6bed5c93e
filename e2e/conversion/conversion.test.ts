/** A custom resource in two versions, converted by a webhook (a fake that knows its way): reads, lists, watches, writes and what goes wrong. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { selfSigned } from "#sdk/testing/certificate.ts";
import { Cluster } from "../support/cluster.ts";
import { eventually } from "../support/instance.ts";

interface Crontab {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Record<string, string>; generation?: number };
  /** v1 */
  hostPort?: string;
  /** v2 */
  host?: string;
  port?: string;
}

/** v1 has "host:port", v2 the two by themselves. */
function convert({ hostPort, host, port, ...rest }: Crontab, apiVersion: string): Crontab {
  if (apiVersion.endsWith("/v1")) return { ...rest, apiVersion, hostPort: `${host}:${port}` };
  const [first = "", second = ""] = (hostPort ?? "").split(":");
  return { ...rest, apiVersion, host: first, port: second };
}

const GROUP = "stable.example.org";
const text = (...names: string[]) => ({
  openAPIV3Schema: { type: "object", properties: Object.fromEntries(names.map((name) => [name, { type: "string" }])) },
});

describe("conversion of custom resources by a webhook", () => {
  let cluster: Cluster;
  let webhook: Server;
  let calls = 0;
  /** What the webhook does to each object it converted. */
  let spoil: (object: Crontab) => unknown = (object) => object;
  const url = (path: string) => `${cluster.servers[0]?.url}${path}`;
  const at = (version: string, name = "") =>
    `/apis/${GROUP}/${version}/namespaces/default/crontabs${name && `/${name}`}`;
  const send = async <T = Crontab>(method: string, path: string, body?: unknown, type?: string) => {
    const { code, body: answer } = await cluster.client.send(method, url(path), body, type);
    return { code, body: answer as T & { message?: string } };
  };

  before(async () => {
    const { cert, key } = await selfSigned("127.0.0.1");
    webhook = createServer({ cert, key }, (request, response) => {
      let sent = "";
      request.setEncoding("utf8").on("data", (chunk: string) => {
        sent += chunk;
      });
      request.on("end", () => {
        calls++;
        const {
          apiVersion,
          kind,
          request: asked,
        } = JSON.parse(sent) as {
          apiVersion: string;
          kind: string;
          request: { uid: string; desiredAPIVersion: string; objects: Crontab[] };
        };
        const convertedObjects = asked.objects.map((object) => spoil(convert(object, asked.desiredAPIVersion)));
        const answer = { uid: asked.uid, convertedObjects, result: { status: "Success" } };
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ apiVersion, kind, response: answer }));
      });
    });
    await new Promise<void>((done) => webhook.listen(0, "127.0.0.1", done));
    cluster = await Cluster.start({ servers: 1, engine: "jco" });
    const clientConfig = {
      url: `https://127.0.0.1:${(webhook.address() as AddressInfo).port}/convert`,
      caBundle: Buffer.from(cert).toString("base64"),
    };
    const definition = {
      metadata: { name: `crontabs.${GROUP}` },
      spec: {
        group: GROUP,
        scope: "Namespaced",
        names: { plural: "crontabs", singular: "crontab", kind: "CronTab", listKind: "CronTabList" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: text("hostPort"),
            selectableFields: [{ jsonPath: ".hostPort" }],
          },
          {
            name: "v2",
            served: true,
            storage: false,
            schema: text("host", "port"),
            selectableFields: [{ jsonPath: ".host" }, { jsonPath: ".port" }],
          },
        ],
        conversion: { strategy: "Webhook", webhook: { clientConfig, conversionReviewVersions: ["v1"] } },
      },
    };
    const made = await send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition);
    assert.equal(made.code, 201, JSON.stringify(made.body));
    await eventually("served", async () => (await send("GET", at("v2"))).code === 200);
  });
  after(async () => {
    webhook?.closeAllConnections();
    webhook?.close();
    await cluster?.remove();
  });

  it("is read and listed in the version that is asked for, whatever it was written in", async () => {
    const one = { apiVersion: `${GROUP}/v1`, kind: "CronTab", metadata: { name: "one" }, hostPort: "example.org:80" };
    const two = { apiVersion: `${GROUP}/v2`, kind: "CronTab", metadata: { name: "two" }, host: "b", port: "81" };
    assert.equal((await send("POST", at("v1"), one)).code, 201);
    const made = await send("POST", at("v2"), two);
    assert.deepEqual([made.code, made.body.host, made.body.apiVersion], [201, "b", `${GROUP}/v2`]);
    assert.equal((await send("GET", at("v1", "two"))).body.hostPort, "b:81");
    const { body } = await send("GET", at("v2", "one"));
    assert.deepEqual([body.host, body.port, body.hostPort], ["example.org", "80", undefined]);
    const list = await send<{ items: Crontab[] }>("GET", at("v2"));
    assert.deepEqual(
      list.body.items.map(({ host }) => host),
      ["example.org", "b"],
    );
  });

  it("is updated, patched and watched in the other version", async () => {
    const { body } = await send("GET", at("v2", "two"));
    const updated = await send("PUT", at("v2", "two"), { ...body, port: "82" });
    assert.deepEqual([updated.code, updated.body.port], [200, "82"]);
    const type = "application/merge-patch+json";
    assert.equal((await send("PATCH", at("v2", "two"), { port: "83" }, type)).body.port, "83");
    assert.equal((await send("GET", at("v1", "two"))).body.hostPort, "b:83");
    const ends = new AbortController();
    const seen: (string | undefined)[] = [];
    for await (const line of cluster.client.lines(url(`${at("v2")}?watch=true`), ends.signal)) {
      seen.push((JSON.parse(line) as { object: Crontab }).object.port);
      if (seen.length === 2) break;
    }
    ends.abort();
    assert.deepEqual(seen.sort(), ["80", "83"]);
  });

  it("is selected by the fields of the version that is read", async () => {
    const list = async (version: string, selector: string) => {
      const { body } = await send<{ items: Crontab[] }>("GET", `${at(version)}?fieldSelector=${selector}`);
      return body.items.map(({ metadata }) => metadata.name);
    };
    assert.deepEqual(await list("v2", "host%3Db"), ["two"]);
    assert.deepEqual(await list("v2", "host%3Db,port%3D80"), []);
    assert.deepEqual(await list("v1", "hostPort%3Db:83"), ["two"]);
    assert.deepEqual(await list("v2", "host!%3Db,metadata.name%3Done"), ["one"]);

    const { body } = await send<{ metadata: { resourceVersion: string } }>("GET", at("v2"));
    const from = `watch=true&resourceVersion=${body.metadata.resourceVersion}&fieldSelector=host%3Db`;
    const patch = (name: string, change: object) =>
      send("PATCH", at("v2", name), change, "application/merge-patch+json");
    await patch("two", { port: "84" });
    await patch("one", { host: "b" });
    await patch("two", { host: "c" });
    await patch("two", { host: "b", port: "83" });
    await patch("one", { host: "example.org" });
    const ends = new AbortController();
    const seen: string[] = [];
    for await (const line of cluster.client.lines(url(`${at("v2")}?${from}`), ends.signal)) {
      const { type, object } = JSON.parse(line) as { type: string; object: Crontab };
      seen.push(`${type} ${object.metadata.name}`);
      if (seen.length === 5) break;
    }
    ends.abort();
    assert.deepEqual(seen, ["MODIFIED two", "ADDED one", "DELETED two", "ADDED two", "DELETED one"]);
    const three = { apiVersion: `${GROUP}/v2`, kind: "CronTab", metadata: { name: "three" }, host: "c", port: "90" };
    assert.equal((await send("POST", at("v2"), three)).code, 201);
    assert.equal((await send("DELETE", `${at("v2")}?fieldSelector=host%3Dc`)).code, 200);
    assert.deepEqual(await list("v2", ""), ["one", "two"]);
  });

  it("asks once for what several readers want, and not at all for what is stored in that version", async () => {
    await send("GET", at("v2"));
    const before = calls;
    await send("GET", at("v2"));
    await send("GET", at("v1"));
    assert.equal(calls, before);
  });

  it("keeps metadata but labels and annotations, and refuses what is no conversion", async () => {
    spoil = (object) => ({ ...object, metadata: { ...object.metadata, labels: { by: "webhook" }, generation: 77 } });
    await send("PATCH", at("v1", "one"), { hostPort: "c:1" }, "application/merge-patch+json");
    const { metadata } = (await send("GET", at("v2", "one"))).body;
    const { generation } = (await send("GET", at("v1", "one"))).body.metadata;
    assert.deepEqual([metadata.labels, metadata.generation], [{ by: "webhook" }, generation]);
    spoil = (object) => ({ ...object, metadata: { ...object.metadata, name: "another" } });
    await send("PATCH", at("v1", "one"), { hostPort: "c:2" }, "application/merge-patch+json");
    const refused = await send("GET", at("v2", "one"));
    assert.equal(refused.code, 500);
    assert.match(
      refused.body.message ?? "",
      /conversion webhook for .*CronTab returned invalid .*same name: one != another/,
    );
    assert.equal((await send("GET", at("v1", "one"))).body.hostPort, "c:2", "the stored version is read as ever");
    spoil = (object) => object;
    assert.equal((await send("GET", at("v2", "one"))).body.port, "2");
  });
});
