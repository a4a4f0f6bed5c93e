import { deepEqual, equal } from "node:assert/strict";
import { createHmac } from "node:crypto";
import test from "node:test";
import type { ConfigMap, Secret } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import { CONFIGMAPS, SECRETS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { tokenCleaner } from "./cleaner.ts";
import { bootstrapSigner } from "./signer.ts";
import { detachedSignature, expiresInMs, signedData, signingToken } from "./tokens.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const token = (id: string, more: Record<string, string> = {}): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
  type: "bootstrap.kubernetes.io/token",
  data: Object.fromEntries(
    Object.entries({
      "token-id": id,
      "token-secret": "0123456789abcdef",
      "usage-bootstrap-signing": "true",
      ...more,
    }).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  ),
});

test("a token signs while it may and has not expired", () => {
  deepEqual(signingToken(token("aaaaaa"), NOW), { id: "aaaaaa", secret: "0123456789abcdef" });
  equal(signingToken(token("aaaaaa", { "usage-bootstrap-signing": "no" }), NOW), undefined);
  equal(signingToken(token("aaaaaa", { expiration: "2026-01-01T00:00:00Z" }), NOW), undefined);
  equal(signingToken({ ...token("aaaaaa"), metadata: { name: "other" } }, NOW), undefined);
  equal(expiresInMs(token("a", { expiration: "2026-01-01T00:00:01Z" }), NOW), 1000);
  equal(expiresInMs(token("a", { expiration: "soon" }), NOW), 0);
  equal(expiresInMs(token("a"), NOW), undefined);
});

test("a signature is a JWS whose content was taken out", () => {
  const [header = "", content, signature] = detachedSignature("hello", "aaaaaa", "secret").split(".");
  equal(Buffer.from(header, "base64url").toString(), '{"alg":"HS256","kid":"aaaaaa"}');
  equal(content, "");
  const input = `${header}.${Buffer.from("hello").toString("base64url")}`;
  equal(signature, createHmac("sha256", "secret").update(input).digest("base64url"));
});

test("signatures of tokens that are gone go too, and without a kubeconfig nothing is signed", () => {
  const data = signedData({ kubeconfig: "k", "jws-kubeconfig-old": "x", other: "y" }, [{ id: "a", secret: "s" }]);
  deepEqual(Object.keys(data ?? {}), ["kubeconfig", "other", "jws-kubeconfig-a"]);
  equal(signedData({}, [{ id: "a", secret: "s" }]), undefined);
});

test("the loops sign cluster-info and delete what has expired, in each tenant", async (t) => {
  const { client } = world(t, [tokenCleaner, bootstrapSigner]);
  const acme = client.tenant("acme");
  const info: ConfigMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "cluster-info", namespace: "kube-public" },
    data: { kubeconfig: "k" },
  };
  await client.create(SECRETS, token("aaaaaa"));
  await client.create(SECRETS, token("bbbbbb", { expiration: "2020-01-01T00:00:00Z" }));
  await acme.create(SECRETS, token("cccccc"));
  await client.create(CONFIGMAPS, info);
  await acme.create(CONFIGMAPS, structuredClone(info));
  const at = { namespace: "kube-public", name: "cluster-info" };
  const signers = async (of: Client) =>
    Object.keys((await of.get<ConfigMap>(CONFIGMAPS, at)).data ?? {}).filter((key) => key.startsWith("jws-"));
  await until(async () => (await signers(client)).includes("jws-kubeconfig-aaaaaa"));
  await until(async () => (await signers(acme)).includes("jws-kubeconfig-cccccc"));
  await until(() =>
    client.get(SECRETS, { namespace: "kube-system", name: "bootstrap-token-bbbbbb" }).then(
      () => false,
      (error: unknown) => isReason(error, "NotFound"),
    ),
  );
  deepEqual([await signers(client), await signers(acme)], [["jws-kubeconfig-aaaaaa"], ["jws-kubeconfig-cccccc"]]);
});
