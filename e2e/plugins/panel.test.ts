/** Plugins' pages of the console: asked for through the API, with the rights of who looks, and data only. */
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { eventually, type Instance, skipWithoutKubectl, startInstance } from "../support/instance.ts";
import { type RawApi, rawApi } from "../support/raw-api.ts";

const PLUGINS = "/apis/capstan.dev/v1/plugins";
const PANEL = `${PLUGINS}/board/panel?namespace=default`;
const RBAC = "/apis/rbac.authorization.k8s.io/v1";

describe("panels", { skip: skipWithoutKubectl }, () => {
  let capstan: Instance;
  let admin: RawApi;

  const send = async (method: string, path: string, body?: object, user?: string) =>
    await admin.send(
      method,
      path,
      body && JSON.stringify(body),
      user === undefined ? {} : { "impersonate-user": user },
    );
  const make = async (path: string, body: object) => {
    const { code, text } = await send("POST", path, body);
    assert.equal(code, 201, text);
  };

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    admin = rawApi(capstan.kubeconfig);
    const scratch = mkdtempSync(join(tmpdir(), "capstan-board-"));
    try {
      const built = await buildPlugin(join(import.meta.dirname, "board"), scratch);
      copyFileSync(built.path, join(paths(capstan.dataDir).components, basename(built.path)));
      const { name, ...spec } = built.manifest;
      await make(PLUGINS, {
        apiVersion: "capstan.dev/v1",
        kind: "Plugin",
        metadata: { name },
        spec: { ...spec, digest: built.digest, approved: [capabilitiesDigest(spec.capabilities)] },
      });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
    const roles = {
      looks: [{ apiGroups: ["capstan.dev"], resources: ["plugins/panel"], verbs: ["get", "create"] }],
      reads: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list"] }],
    };
    for (const [name, rules] of Object.entries(roles))
      await make(`${RBAC}/clusterroles`, { metadata: { name }, rules });
    const users = { looks: ["ann", "ben"], reads: ["ann"] };
    for (const [name, names] of Object.entries(users))
      await make(`${RBAC}/clusterrolebindings`, {
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
        subjects: names.map((user) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user })),
      });
    await eventually("the panel", async () => (await send("GET", PANEL)).code === 200);
  });
  after(async () => {
    admin?.close();
    await capstan?.remove();
  });

  it("are data that somebody asked for, as that person; what a page may not hold does not cross", async () => {
    const { code, text } = await send("GET", PANEL, undefined, "ann");
    assert.equal(code, 200, text);
    const page = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual(Object.keys(page).sort(), ["children", "title"]);
    assert.equal(page["title"], "Of ann");
    assert.match(text, /kube-root-ca\.crt/);
  });

  it("do what the person may, and no more", async () => {
    const pressed = { action: "make", fields: { name: "made" } };
    const refused = await send("POST", PANEL, pressed, "ann");
    assert.equal(refused.code, 403, refused.text);
    assert.match(refused.status.message ?? "", /User "ann" cannot create resource "configmaps"/);
    const done = await send("POST", PANEL, pressed);
    assert.deepEqual([done.code, JSON.parse(done.text)], [200, { message: "made is made" }]);
    assert.equal((await send("GET", "/api/v1/namespaces/default/configmaps/made")).code, 200);
  });

  it("see nothing that the person may not see, nor what the plugin did not ask for", async () => {
    const ben = await send("GET", PANEL, undefined, "ben");
    assert.equal(ben.code, 403, ben.text);
    const secrets = await send("GET", `${PANEL}&path=secrets`);
    assert.equal(secrets.code, 403, secrets.text);
    assert.match(secrets.text, /not granted to this plugin|did not ask for/);
    assert.equal((await send("GET", PANEL, undefined, "nobody")).code, 403);
  });

  it("are refused as a whole where something in them is unknown", async () => {
    const { code, text } = await send("GET", `${PANEL}&path=broken`);
    assert.equal(code, 502, text);
    assert.match(text, /its page is not what a page may be/);
  });
});
