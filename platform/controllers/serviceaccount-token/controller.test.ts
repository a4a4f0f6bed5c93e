import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { Secret, ServiceAccount } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { SECRETS, SERVICE_ACCOUNTS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { serviceAccountTokenController } from "./controller.ts";
import { TOKEN_SECRET_TYPE } from "./reconcile.ts";

const secretOf = (name: string, account: string): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "default", annotations: { "kubernetes.io/service-account.name": account } },
  type: TOKEN_SECRET_TYPE,
});
const text = (base64: string | undefined) => Buffer.from(base64 ?? "", "base64").toString();

test("a token secret gets its account's token once, and goes when the account does", async (t) => {
  const asked: unknown[] = [];
  const { client } = world(t, [serviceAccountTokenController], {
    accountToken: async (tenant, subject) => {
      asked.push([tenant, subject]);
      return "token";
    },
  });
  const accounts = client.tenant("root");
  const account = await accounts.create<ServiceAccount>(SERVICE_ACCOUNTS, {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "robot", namespace: "default" },
    secrets: [{ name: "robot-token" }],
  });
  await client.create(SECRETS, secretOf("robot-token", "robot"));
  await client.create(SECRETS, secretOf("stray", "nobody"));
  const secrets = async () => (await client.list<Secret>(SECRETS)).items;
  await until(async () => (await secrets()).length === 1 && (await secrets())[0]?.data?.["token"] !== undefined);
  const [secret] = await secrets();
  equal(text(secret?.data?.["token"]), "token");
  equal(text(secret?.data?.["namespace"]), "default");
  equal(secret?.metadata.annotations?.["kubernetes.io/service-account.uid"], account.metadata.uid);
  const robot = { name: "robot", uid: account.metadata.uid };
  deepEqual(asked, [["root", { namespace: "default", account: robot, secret: "robot-token" }]]);

  await client.delete(SECRETS, { namespace: "default", name: "robot-token" });
  await until(async () => {
    const now = await client.get<ServiceAccount>(SERVICE_ACCOUNTS, { namespace: "default", name: "robot" });
    return now.secrets?.length === 0;
  });
  await client.create(SECRETS, secretOf("again", "robot"));
  await until(async () => (await secrets())[0]?.data?.["token"] !== undefined);
  await client.delete(SERVICE_ACCOUNTS, { namespace: "default", name: "robot" });
  await until(async () => (await secrets()).length === 0);
});
