/**
 * The cluster's authority and every certificate and kubeconfig made of it. `ensurePki` may run as often as one likes: it makes what is
 * missing, renews what is close to its end or no longer fits the configuration, and leaves the rest.
 *
 * Below DATA/pki: ca, apiserver (serving), apiserver-kubelet-client (the API server towards node agents), node-NAME (a node agent's
 * serving certificate), front-proxy-ca, front-proxy-client (the API server towards extension servers), each .crt and .key; sa.key and sa.pub (token issuer).
 */
import "reflect-metadata";
import { createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import * as x509 from "@peculiar/x509";
import { stringify } from "yaml";
import { FRONT_PROXY_NAME } from "#platform/apiserver/aggregation/authentication-config.ts";
import { type SigningKey, signingKey } from "#platform/apiserver/authn/jwt.ts";
import { authorityName, TenantKeys } from "#platform/apiserver/authn/tenantKeys.ts";
import { firstAddress } from "#platform/rules/api-service.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Config, paths } from "./config.ts";
import { apiAddressForPods, hostAddressFor } from "./nodes.ts";

const DAY_MS = 24 * 3600 * 1000;
const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 365;
const RENEW_BEFORE_DAYS = 60;
const BACKDATE_MS = 5 * 60 * 1000;
const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

interface Issued {
  cert: string;
  key: string;
}

interface Request {
  commonName: string;
  organizations?: string[];
  /** Names and addresses of a serving certificate. */
  names?: string[];
  usages: string[];
}

/** 0600 and in place at once, whoever is reading. */
export function writePrivate(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

const serial = () => `01${randomBytes(15).toString("hex")}`;

async function newKey(): Promise<{ pair: CryptoKeyPair; pem: string }> {
  const pair = (await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"])) as CryptoKeyPair;
  const der = await crypto.subtle.exportKey("pkcs8", pair.privateKey);
  return { pair, pem: x509.PemConverter.encode(der, "PRIVATE KEY") };
}

function period(days: number, now: number) {
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

async function newAuthority(commonName: string, now: number): Promise<Issued> {
  const { pair, pem } = await newKey();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [commonName] }],
    ...period(AUTHORITY_DAYS, now),
    signingAlgorithm: KEY_ALGORITHM,
    keys: pair,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(pair.publicKey),
    ],
  });
  return { cert: certificate.toString("pem"), key: pem };
}

const isAddress = (name: string) => /^[\d.]+$/.test(name) || name.includes(":");

async function issue(authority: Issued, request: Request, now: number): Promise<Issued> {
  const { pair, pem } = await newKey();
  const issuer = new x509.X509Certificate(authority.cert);
  const der = x509.PemConverter.decodeFirst(authority.key);
  const signingKey = await crypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
  const names = (request.names ?? []).map((value) => ({
    type: isAddress(value) ? ("ip" as const) : ("dns" as const),
    value,
  }));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [...(request.organizations ?? []).map((o) => ({ O: [o] })), { CN: [request.commonName] }],
    issuer: issuer.subjectName,
    ...period(CERTIFICATE_DAYS, now),
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: pair.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(request.usages),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return { cert: certificate.toString("pem"), key: pem };
}

/** The certificate is there, is signed by the authority, lasts long enough and says what the request says. */
function fits(cert: string, authority: Issued, request: Request, now: number): boolean {
  const certificate = new x509.X509Certificate(cert);
  const issuer = new x509.X509Certificate(authority.cert);
  if (certificate.issuer !== issuer.subject || certificate.notAfter.getTime() - now < RENEW_BEFORE_DAYS * DAY_MS)
    return false;
  const keyId = certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
  if (keyId !== issuer.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId) return false;
  const subject = certificate.subjectName.getField("CN")[0];
  const checked = new X509Certificate(cert);
  const covers = (name: string) => (isAddress(name) ? checked.checkIP(name) : checked.checkHost(name)) !== undefined;
  return subject === request.commonName && (request.names ?? []).every(covers);
}

class Authority {
  readonly #dir: string;
  readonly #issued: Issued;
  readonly #now: number;
  constructor(dir: string, issued: Issued, now: number) {
    this.#dir = dir;
    this.#issued = issued;
    this.#now = now;
  }

  static async open(dir: string, name: string, commonName: string, now: number): Promise<Authority> {
    const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
    if (existsSync(cert) && existsSync(key)) {
      return new Authority(dir, { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }, now);
    }
    const issued = await newAuthority(commonName, now);
    // The key first: a certificate without its key would be taken for a whole authority.
    writePrivate(key, issued.key);
    writePrivate(cert, issued.cert);
    return new Authority(dir, issued, now);
  }

  get cert(): string {
    return this.#issued.cert;
  }

  /** NAME.crt and NAME.key below the authority's folder. */
  async files(name: string, request: Request): Promise<Issued> {
    const [certPath, keyPath] = [join(this.#dir, `${name}.crt`), join(this.#dir, `${name}.key`)];
    if (existsSync(certPath) && existsSync(keyPath)) {
      const present = { cert: readFileSync(certPath, "utf8"), key: readFileSync(keyPath, "utf8") };
      if (fits(present.cert, this.#issued, request, this.#now)) return present;
    }
    const issued = await issue(this.#issued, request, this.#now);
    writePrivate(keyPath, issued.key);
    writePrivate(certPath, issued.cert);
    return issued;
  }
}

export function clientKubeconfig(server: string, ca: string, user: string, client?: Issued): string {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "capstan", cluster: { server, "certificate-authority-data": base64(ca) } }],
    users: [
      {
        name: user,
        user: client ? { "client-certificate-data": base64(client.cert), "client-key-data": base64(client.key) } : {},
      },
    ],
    contexts: [{ name: "capstan", context: { cluster: "capstan", user } }],
    "current-context": "capstan",
  });
}

export { firstAddress };

function servingNames(config: Config): string[] {
  const { domain } = config.dns;
  const hosts = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter((a) => !a.address.startsWith("fe80")).map((a) => a.address),
  );
  const service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", `kubernetes.default.svc.${domain}`];
  const bound = config.api.host === "0.0.0.0" || config.api.host === "::" ? [] : [config.api.host];
  return [
    ...new Set([
      ...service,
      "localhost",
      hostname(),
      "127.0.0.1",
      "::1",
      firstAddress(config.serviceCIDR),
      ...bound,
      ...hosts,
      // These interfaces come later than the certificate.
      ...config.nodes.flatMap((node) => hostAddressFor(node) ?? []),
      ...[apiAddressForPods(config) ?? []].flat(),
    ]),
  ];
}

/** Users of the roles' certificates; the API server is a client of its own for the components it runs. The console has none: it acts as whoever signed in. */
const ROLE_USERS: Record<string, Request> = {
  admin: { commonName: "kubernetes-admin", organizations: ["system:masters"], usages: [CLIENT_AUTH] },
  apiserver: { commonName: "system:apiserver", organizations: ["system:masters"], usages: [CLIENT_AUTH] },
  controllers: {
    commonName: "system:kube-controller-manager",
    organizations: ["capstan:controllers"],
    usages: [CLIENT_AUTH],
  },
  scheduler: { commonName: "system:kube-scheduler", organizations: ["capstan:scheduler"], usages: [CLIENT_AUTH] },
};

function ensureTokenIssuer(dir: string): void {
  const path = join(dir, "sa.key");
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    writePrivate(path, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  }
  const publicKey = createPublicKey(readFileSync(path, "utf8"));
  writePrivate(join(dir, "sa.pub"), publicKey.export({ type: "spki", format: "pem" }).toString());
}

/** An authority between root's and a tenant's certificates; its key is derived, and the server derives it too. */
async function tenantAuthority(root: Issued, keys: TenantKeys, tenant: number, now: number): Promise<Issued> {
  const { privateKey, publicKey } = keys.authority(tenant);
  const issuer = new x509.X509Certificate(root.cert);
  const load = (format: "pkcs8" | "spki", der: ArrayBuffer | Buffer, usage: "sign" | "verify") =>
    crypto.subtle.importKey(format, Uint8Array.from(Buffer.from(der as Buffer)), KEY_ALGORITHM, true, [usage]);
  const own = await load("spki", publicKey.export({ type: "spki", format: "der" }), "verify");
  const signingKey = await load("pkcs8", Buffer.from(x509.PemConverter.decodeFirst(root.key)), "sign");
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [authorityName(tenant)] }],
    issuer: issuer.subjectName,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: issuer.notAfter,
    signingAlgorithm: KEY_ALGORITHM,
    publicKey: own,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(own),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return {
    cert: certificate.toString("pem"),
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** Who signs a tenant's client certificates, PEM; its certificate is made anew each time, over the same key. */
export async function authorityOfTenant(config: Config, id: number, now = Date.now()): Promise<Issued> {
  const read = (file: string) => readFileSync(join(paths(config.dataDir).pki, file), "utf8");
  const root = { cert: read("ca.crt"), key: read("ca.key") };
  if (id === ROOT_TENANT) return root;
  return tenantAuthority(root, new TenantKeys(root.key, signingKey(read("sa.key"))), id, now);
}

/** Signs the tokens of a tenant's service accounts. */
export function tokenKeyOf(config: Config, id: number): SigningKey {
  const read = (file: string) => readFileSync(join(paths(config.dataDir).pki, file), "utf8");
  return new TenantKeys(read("ca.key"), signingKey(read("sa.key"))).tokens(id);
}

export async function tenantAuthorityCertificate(config: Config, id: number, now = Date.now()): Promise<string> {
  return (await authorityOfTenant(config, id, now)).cert;
}

/** The kubeconfig of a tenant's owner: a year's certificate of the tenant's own authority, with that authority's behind it. */
export async function tenantKubeconfig(config: Config, id: number, name: string, now = Date.now()): Promise<string> {
  const { pki: dir, kubeconfig: adminPath } = paths(config.dataDir);
  const read = (file: string) => readFileSync(join(dir, file), "utf8");
  const root = { cert: read("ca.crt"), key: read("ca.key") };
  const authority = await tenantAuthority(root, new TenantKeys(root.key, signingKey(read("sa.key"))), id, now);
  const request = { commonName: `${name}-admin`, organizations: ["system:masters"], usages: [CLIENT_AUTH] };
  const owner = await issue(authority, request, now);
  const { server } = loadKubeconfig(adminPath);
  // kubectl chooses a certificate by the authority that the server asks for, which is root's.
  const chain = { cert: `${owner.cert}\n${authority.cert}\n`, key: owner.key };
  return clientKubeconfig(`${server}/tenants/${name}`, root.cert, `${name}-admin`, chain);
}

/** Idempotent. Everything is written 0600 below the data directory. */
export async function ensurePki(config: Config, now = Date.now()): Promise<void> {
  const { pki: dir, kubeconfig: adminPath, roleKubeconfig } = paths(config.dataDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const authority = await Authority.open(dir, "ca", "capstan", now);
  const frontProxy = await Authority.open(dir, "front-proxy-ca", "capstan-front-proxy", now);
  await frontProxy.files("front-proxy-client", { commonName: FRONT_PROXY_NAME, usages: [CLIENT_AUTH] });
  await authority.files("apiserver", {
    commonName: "kube-apiserver",
    names: servingNames(config),
    usages: [SERVER_AUTH],
  });
  const kubeletClient = {
    commonName: "kube-apiserver-kubelet-client",
    organizations: ["system:masters"],
    usages: [CLIENT_AUTH],
  };
  await authority.files("apiserver-kubelet-client", kubeletClient);
  ensureTokenIssuer(dir);
  const host = config.api.host === "0.0.0.0" || config.api.host === "::" ? "127.0.0.1" : config.api.host;
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${config.api.port}`;
  for (const [role, request] of Object.entries(ROLE_USERS)) {
    const client = await authority.files(`${role}-client`, request);
    const text = clientKubeconfig(
      server,
      authority.cert,
      role === "admin" ? "kubernetes-admin" : request.commonName,
      client,
    );
    writePrivate(roleKubeconfig(role), text);
    if (role === "admin") writePrivate(adminPath, text);
  }
  writePrivate(roleKubeconfig("console"), clientKubeconfig(server, authority.cert, "nobody"));
  for (const node of config.nodes) {
    const user = { commonName: `system:node:${node.name}`, organizations: ["system:nodes"], usages: [CLIENT_AUTH] };
    const client = await authority.files(`node-${node.name}-client`, user);
    writePrivate(
      roleKubeconfig(`node-${node.name}`),
      clientKubeconfig(server, authority.cert, user.commonName, client),
    );
    const names = [...new Set([node.name, node.address, "127.0.0.1"])];
    await authority.files(`node-${node.name}`, {
      commonName: `system:node:${node.name}`,
      organizations: ["system:nodes"],
      names,
      usages: [SERVER_AUTH],
    });
  }
}
