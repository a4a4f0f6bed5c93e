/** Bad input through real HTTP: a Status with the right reason, code and field, nothing stored, and a server that goes on. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { type RawAnswer, type RawApi, rawApi } from "../support/raw-api.ts";

const CONFIGMAPS = "/api/v1/namespaces/default/configmaps";
const PODS = "/api/v1/namespaces/default/pods";
const SERVICES = "/api/v1/namespaces/default/services";
const DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments";
const MiB = 1024 * 1024;

const configMap = (name: string, more: object = {}) =>
  JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, ...more });
const pod = (spec: object, name = "bad") => JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name }, spec });

describe("bad input", { skip: skipWithoutKubectl }, () => {
  let capstan: Instance;
  let api: RawApi;
  const post = (path: string, body: string | Buffer, type = "application/json") =>
    api.send("POST", path, body, { "content-type": type });

  function refused(answer: RawAnswer, code: number, reason: string, message: RegExp, fields: string[] = []): void {
    const { status } = answer;
    assert.equal(answer.code, code, answer.text);
    assert.deepEqual([status.kind, status.apiVersion, status.status], ["Status", "v1", "Failure"], answer.text);
    assert.deepEqual([status.code, status.reason], [code, reason], answer.text);
    assert.match(status.message ?? "", message);
    const named = (status.details?.causes ?? []).map((cause) => cause.field);
    for (const field of fields) assert.ok(named.includes(field), `${field} is not in ${JSON.stringify(named)}`);
  }

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    api = rawApi(capstan.kubeconfig);
    await capstan.kubectl("create", "configmap", "present", "--from-literal=a=b");
  });
  after(async () => {
    api?.close();
    await capstan?.remove();
  });

  it("that is no JSON or YAML", async () => {
    for (const text of ["", "{", '{"a":', "nonsense", "[1,2]", '"text"', "null", '{"kind":"ConfigMap",}'])
      refused(await post(CONFIGMAPS, text), 400, "BadRequest", /./);
    for (const text of ["a: b: c", "a: [1", "\t- x", "&a [*a", "- 1\n- 2"])
      refused(await post(CONFIGMAPS, text, "application/yaml"), 400, "BadRequest", /./);
  });

  it("of a kind or group that is not known, or another one's", async () => {
    refused(await post("/api/v1/namespaces/default/gadgets", "{}"), 404, "NotFound", /could not find/);
    const nowhere = await api.send("GET", "/apis/none.example/v1/gadgets");
    assert.deepEqual([nowhere.code, nowhere.text], [404, "404 page not found\n"]);
    const kind = (apiVersion: string, k: string) => JSON.stringify({ apiVersion, kind: k, metadata: { name: "x" } });
    refused(await post(CONFIGMAPS, kind("v1", "Gadget")), 400, "BadRequest", /Gadget/);
    refused(await post(CONFIGMAPS, kind("v1", "Secret")), 400, "BadRequest", /Secret/);
    refused(await post(CONFIGMAPS, kind("v2", "ConfigMap")), 400, "BadRequest", /v2/);
  });

  it("with unknown or doubled fields, when strict", async () => {
    const strict = `${CONFIGMAPS}?fieldValidation=Strict`;
    refused(await post(strict, configMap("x", { datta: {} })), 400, "BadRequest", /unknown field "datta"/);
    const twice = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{},"data":{}}';
    refused(await post(strict, twice), 400, "BadRequest", /duplicate field "data"/);
    const nested = pod({ containers: [{ name: "c", image: "i", imagee: "j" }] });
    refused(await post(`${PODS}?fieldValidation=Strict`, nested), 400, "BadRequest", /spec\.containers\[0\]\.imagee/);
    const how = await post(`${CONFIGMAPS}?fieldValidation=Sometimes`, configMap("x"));
    refused(how, 422, "Invalid", /Sometimes/, ["fieldValidation"]);
  });

  it("with values of a wrong type", async () => {
    refused(await post(CONFIGMAPS, configMap("x", { data: "text" })), 400, "BadRequest", /cannot unmarshal/);
    refused(await post(CONFIGMAPS, configMap("x", { data: { a: 1 } })), 400, "BadRequest", /cannot unmarshal/);
    refused(await post(CONFIGMAPS, configMap("x", { metadata: { name: 7 } })), 400, "BadRequest", /cannot unmarshal/);
    refused(await post(PODS, pod({ containers: {} })), 400, "BadRequest", /cannot unmarshal/);
    const quantity = pod({ containers: [{ name: "c", image: "i", resources: { limits: { cpu: "lots" } } }] });
    refused(await post(PODS, quantity), 400, "BadRequest", /quantities must match/);
  });

  it("with names and fields that must not be", async () => {
    for (const name of ["Upper", "under_score", "-x", "x/y", "ü", `${"a".repeat(254)}`])
      refused(await post(CONFIGMAPS, configMap(name)), 422, "Invalid", /metadata\.name/, ["metadata.name"]);
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "a.b" }, spec: { ports: [{ port: 80 }] } };
    refused(await post(SERVICES, JSON.stringify(service)), 422, "Invalid", /a\.b/, ["metadata.name"]);
    const nameless = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{}}';
    refused(await post(CONFIGMAPS, nameless), 422, "Invalid", /name or generateName is required/, ["metadata.name"]);
    const label = configMap("x", { metadata: { name: "x", labels: { "a b": "c d" } } });
    refused(await post(CONFIGMAPS, label), 422, "Invalid", /labels/, ["metadata.labels"]);
    const other = configMap("x", { metadata: { name: "x", namespace: "elsewhere" } });
    refused(await post(CONFIGMAPS, other), 400, "BadRequest", /namespace/);
    const empty = await post(PODS, pod({ containers: [] }));
    refused(empty, 422, "Invalid", /spec\.containers/, ["spec.containers"]);
    const twins = pod({ containers: ["c", "c"].map((name) => ({ name, image: "i" })) });
    refused(await post(PODS, twins), 422, "Invalid", /Duplicate value/, ["spec.containers[1].name"]);
    const template = { metadata: { labels: { a: "c" } }, spec: { containers: [{ name: "c", image: "i" }] } };
    const deployment = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" } };
    const spec = { selector: { matchLabels: { a: "b" } }, template };
    const mismatch = await post(DEPLOYMENTS, JSON.stringify({ ...deployment, spec }));
    refused(mismatch, 422, "Invalid", /selector/, ["spec.template.metadata.labels"]);
    const ghost = await post("/api/v1/namespaces/ghost/configmaps", configMap("x"));
    refused(ghost, 404, "NotFound", /namespaces "ghost" not found/);
  });

  it("that is too large or too deep", async () => {
    const large = configMap("x", { data: { a: "x".repeat(3 * MiB) } });
    refused(await post(CONFIGMAPS, large), 413, "RequestEntityTooLarge", /limit is 3145728/);
    const many = configMap("x", { data: { a: "x".repeat(1 * MiB + 1) } });
    refused(await post(CONFIGMAPS, many), 422, "Invalid", /1048576/);
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ] as const) {
      const n = 200_000;
      const deep = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":${open.repeat(n)}1${close.repeat(n)}}`;
      refused(await post(CONFIGMAPS, deep), 400, "BadRequest", /./);
      refused(await post(CONFIGMAPS, `a: ${"[".repeat(n)}`, "application/yaml"), 400, "BadRequest", /./);
    }
    const bomb = `a: &a [x,x,x,x,x,x,x,x]\n${["b", "c", "d", "e", "f", "g", "h", "i"].map((k, i) => `${k}: &${k} [${Array(9).fill(`*${"abcdefgh"[i]}`).join(",")}]`).join("\n")}`;
    refused(await post(CONFIGMAPS, bomb, "application/yaml"), 400, "BadRequest", /./);
    refused(await api.send("POST", CONFIGMAPS, "not gzip", { "content-encoding": "gzip" }), 400, "BadRequest", /gzip/);
  });

  it("of a content type or patch type that is not served", async () => {
    refused(await post(CONFIGMAPS, configMap("x"), "text/xml"), 415, "UnsupportedMediaType", /media type/i);
    const patch = (type: string, body: string, path = `${CONFIGMAPS}/present`) =>
      api.send("PATCH", path, body, { "content-type": type });
    for (const type of ["application/json", "text/plain", "application/x-patch"])
      refused(await patch(type, "{}"), 415, "UnsupportedMediaType", /./);
    refused(await patch("application/merge-patch+json", "{"), 400, "BadRequest", /./);
    refused(await patch("application/merge-patch+json", "[]"), 400, "BadRequest", /./);
    refused(await patch("application/json-patch+json", "{}"), 400, "BadRequest", /./);
    const missing = '[{"op":"remove","path":"/data/none"}]';
    refused(await patch("application/json-patch+json", missing), 422, "Invalid", /./);
    const wrong = '[{"op":"replace","path":"/data","value":7}]';
    assert.ok([400, 422].includes((await patch("application/json-patch+json", wrong)).code));
    const renamed = '{"metadata":{"name":"other"}}';
    assert.ok([400, 422].includes((await patch("application/merge-patch+json", renamed)).code));
    refused(await patch("application/apply-patch+yaml", configMap("present")), 422, "Invalid", /./, ["fieldManager"]);
    const absent = await patch("application/merge-patch+json", "{}", `${CONFIGMAPS}/absent`);
    refused(absent, 404, "NotFound", /configmaps "absent" not found/);
  });

  it("in selectors, versions, limits and tokens", async () => {
    const list = (query: string) => api.send("GET", `${CONFIGMAPS}?${query}`);
    for (const selector of ["a in", "a==b==c", "!", "a in (b", "-x=y"])
      refused(await list(`labelSelector=${encodeURIComponent(selector)}`), 400, "BadRequest", /./);
    refused(await list("fieldSelector=data.a%3Db"), 400, "BadRequest", /field/);
    refused(await list("resourceVersion=yesterday"), 400, "BadRequest", /yesterday/);
    const watch = await list("watch=1&resourceVersion=-1");
    // The original's watches answer so, without a reason.
    assert.deepEqual([watch.code, watch.status.reason], [500, undefined]);
    assert.match(watch.status.message ?? "", /^resourceVersion: Invalid value: "-1"/);
    refused(await list("limit=many"), 400, "BadRequest", /many/);
    refused(await list("continue=garbage"), 400, "BadRequest", /continue/);
    refused(await list("resourceVersionMatch=Exact"), 422, "Invalid", /./, ["resourceVersionMatch"]);
    const stale = configMap("present", { metadata: { name: "present", resourceVersion: "1" } });
    refused(await api.send("PUT", `${CONFIGMAPS}/present`, stale), 409, "Conflict", /the object has been modified/);
    const odd = configMap("present", { metadata: { name: "present", resourceVersion: "new" } });
    assert.ok([400, 409, 422].includes((await api.send("PUT", `${CONFIGMAPS}/present`, odd)).code));
    refused(await api.send("PUT", `${CONFIGMAPS}/present`, configMap("other")), 400, "BadRequest", /name/);
  });

  it("in methods, paths and headers", async () => {
    refused(await api.send("POST", `${CONFIGMAPS}/present`, configMap("x")), 405, "MethodNotAllowed", /./);
    refused(await api.send("PROPFIND", CONFIGMAPS), 405, "MethodNotAllowed", /./);
    assert.ok((await api.send("GET", "/api/v1/namespaces/%00/configmaps")).code < 500);
    assert.ok((await api.send("GET", "/api/v1/namespaces/%E0%A4%A/pods")).code < 500);
    refused(await api.send("GET", "/tenants/nobody/api/v1/pods"), 404, "NotFound", /nobody/);
    const bearer = await api.send("GET", CONFIGMAPS, undefined, { authorization: "Bearer x.y.z" });
    assert.ok([200, 401].includes(bearer.code));
    const group = await api.send("GET", CONFIGMAPS, undefined, { "impersonate-group": "x" });
    refused(group, 400, "BadRequest", /impersonat/);
  });

  it("has stored nothing, and the server is the same and well", async () => {
    const list = JSON.parse(await capstan.kubectl("get", "configmaps,pods,services,deployments", "-o", "json"));
    const names = (list.items as { kind: string; metadata: { name: string } }[]).map(
      (o) => `${o.kind}/${o.metadata.name}`,
    );
    assert.deepEqual(
      names.sort().filter((name) => name !== "ConfigMap/kube-root-ca.crt"),
      ["ConfigMap/present", "Service/kubernetes"],
    );
    assert.deepEqual(JSON.parse(await capstan.kubectl("get", "configmap", "present", "-o", "jsonpath={.data}")), {
      a: "b",
    });
    assert.match(await capstan.kubectl("get", "--raw", "/readyz"), /ok/);
    const status = await capstan.capstan("status");
    assert.doesNotMatch(status.stdout, /backoff/);
  });
});
