import "reflect-metadata";
import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import * as x509 from "@peculiar/x509";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { frontProxy } from "./front-proxy.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const notAfter = new Date(Date.now() + 3_600_000);

async function authorityOf(name: string) {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const extensions = [new x509.BasicConstraintsExtension(true, undefined, true)];
  const made = { name: `CN=${name}`, keys, signingAlgorithm: algorithm, notAfter, extensions };
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(made);
  const issue = async (subject: string): Promise<Buffer> => {
    const { publicKey } = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const { privateKey: signingKey } = keys;
    const request = {
      subject,
      issuer: certificate.subject,
      publicKey,
      signingKey,
      signingAlgorithm: algorithm,
      notAfter,
    };
    return Buffer.from((await x509.X509CertificateGenerator.create(request)).rawData);
  };
  return { pem: certificate.toString("pem"), issue };
}

const tenants = { resolve: async (name: string) => (name === "acme" ? ({ id: 7, name } as never) : undefined) };
const headers = {
  "x-remote-user": "jane",
  "x-remote-group": ["developers", "admins"],
  "x-remote-uid": "42",
  "x-remote-extra-example.org%2fscope": "a, b",
};

test("a front proxy's certificate is believed in what its headers say", async () => {
  const proxies = await authorityOf("proxies");
  const authenticator = frontProxy({ ca: proxies.pem, allowedNames: ["front-proxy-client"], tenants });
  const certificate = await proxies.issue("CN=front-proxy-client");
  const jane = {
    name: "jane",
    groups: ["developers", "admins"],
    uid: "42",
    extra: { "example.org/scope": ["a", "b"] },
  };
  deepEqual(await authenticator.authenticate({ certificate, headers }, Date.now()), { tenant: ROOT_TENANT, ...jane });
  deepEqual(await authenticator.authenticate({ certificate, headers, tenantName: "acme" }, Date.now()), {
    tenant: 7,
    ...jane,
  });
  equal(await authenticator.authenticate({ certificate, headers, tenantName: "gone" }, Date.now()), undefined);
  equal(await authenticator.authenticate({ certificate, headers: {} }, Date.now()), undefined, "no user is named");
});

test("nobody else's headers are believed: another name, another authority, none, or one that is over", async () => {
  const [proxies, others] = [await authorityOf("proxies"), await authorityOf("proxies")];
  const authenticator = frontProxy({ ca: proxies.pem, allowedNames: ["front-proxy-client"], tenants });
  const good = await proxies.issue("CN=front-proxy-client");
  for (const certificate of [
    await proxies.issue("CN=somebody"),
    await others.issue("CN=front-proxy-client"),
    undefined,
  ])
    equal(
      await authenticator.authenticate({ ...(certificate ? { certificate } : {}), headers }, Date.now()),
      undefined,
    );
  equal(await authenticator.authenticate({ certificate: good, headers }, Date.now() + 7_200_000), undefined);
});
