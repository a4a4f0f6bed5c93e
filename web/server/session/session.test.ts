import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StatusError } from "#sdk/api/status.ts";
import type { UserConnection } from "../port.ts";
import { credentialOfKubeconfig, credentialOfToken } from "./credentials.ts";
import { createSessions, SESSION_AGE_MS_MAX, SESSION_IDLE_MS_MAX, SESSIONS_MAX } from "./sessions.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const kubeconfig = (user: Record<string, unknown>, server = "https://127.0.0.1:6443"): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "here",
    clusters: [{ name: "c", cluster: { server, "certificate-authority": "/etc/passwd" } }],
    contexts: [{ name: "here", context: { cluster: "c", user: "u", namespace: "shop" } }],
    users: [{ name: "u", user }],
  });
const refused = (text: string, message: RegExp) =>
  assert.throws(
    () => credentialOfKubeconfig(text),
    (error) => error instanceof StatusError && error.code === 400 && message.test(error.message),
  );

describe("a kubeconfig", () => {
  it("gives the current context's token, namespace and tenant", () => {
    const found = credentialOfKubeconfig(kubeconfig({ token: "t0k" }, "https://h:1/tenants/acme"));
    assert.deepEqual(
      { token: found.token, namespace: found.namespace, tenant: found.tenant },
      { token: "t0k", namespace: "shop", tenant: "acme" },
    );
  });
  it("that names files is refused, and no file is read", () => {
    refused(kubeconfig({ "client-certificate": "/etc/shadow", "client-key": "/etc/shadow" }), /--flatten/);
    refused(kubeconfig({ tokenFile: "/etc/hostname" }), /--flatten/);
  });
  it("that runs a program is refused", () => {
    refused(kubeconfig({ exec: { command: "aws" } }), /running a program/);
  });
  it("says what is missing in it", () => {
    refused("{}", /no context ""/);
    refused("[1", /not a kubeconfig/);
    refused(kubeconfig({}), /no client certificate/);
    refused(kubeconfig({ "client-certificate-data": base64("no"), "client-key-data": base64("no") }), /not in PEM/);
  });
  it("never has its secrets in a message", () => {
    const secret = base64("secret-key");
    assert.throws(
      () => credentialOfKubeconfig(kubeconfig({ "client-key-data": secret })),
      (error) => error instanceof Error && !error.message.includes(secret),
    );
  });
  it("does not leave its place in a path by its tenant", () => {
    assert.equal(credentialOfKubeconfig(kubeconfig({ token: "t" }, "https://h:1/tenants/..%2Fx")).tenant, "");
  });
});

describe("a token", () => {
  it("is taken with or without the word Bearer, and names its subject", () => {
    const claims = Buffer.from(JSON.stringify({ sub: "system:serviceaccount:default:ann" })).toString("base64url");
    const found = credentialOfToken(` Bearer x.${claims}.y\n`);
    assert.equal(found.token, `x.${claims}.y`);
    assert.equal(found.name, "system:serviceaccount:default:ann");
  });
  it("of several words, or none, is refused", () => {
    for (const text of ["", "  ", "a b", "a\r\nHost: x"]) assert.throws(() => credentialOfToken(text), StatusError);
  });
});

describe("sessions", () => {
  const setUp = () => {
    let now = 0;
    let closed = 0;
    const connection = { close: () => closed++ } as unknown as UserConnection;
    const sessions = createSessions(() => now);
    return { sessions, connection, closed: () => closed, pass: (ms: number) => (now += ms) };
  };
  it("end after an hour unused, and close their connection", () => {
    const { sessions, connection, closed, pass } = setUp();
    const session = sessions.start(connection);
    pass(SESSION_IDLE_MS_MAX);
    assert.ok(sessions.get(session.id));
    pass(SESSION_IDLE_MS_MAX + 1);
    assert.equal(sessions.get(session.id), undefined);
    assert.equal(closed(), 1);
    assert.ok(session.ended.aborted);
  });
  it("with an open tab go on, but not beyond their age", () => {
    const { sessions, connection, pass } = setUp();
    const session = sessions.start(connection);
    const leave = sessions.openTab(session);
    pass(SESSION_IDLE_MS_MAX + 1);
    sessions.sweep();
    assert.equal(sessions.size, 1);
    leave?.();
    assert.ok(sessions.get(session.id), "the hour begins when the last tab closes");
    sessions.openTab(session);
    pass(SESSION_AGE_MS_MAX);
    sessions.sweep();
    assert.equal(sessions.size, 0);
  });
  it("are bounded in number; expired ones make room", () => {
    const { sessions, connection, pass } = setUp();
    for (let i = 0; i < SESSIONS_MAX; i++) sessions.start(connection);
    assert.throws(
      () => sessions.start(connection),
      (error) => error instanceof StatusError && error.code === 429,
    );
    pass(SESSION_IDLE_MS_MAX + 1);
    sessions.start(connection);
    assert.equal(sessions.size, 1);
  });
});
