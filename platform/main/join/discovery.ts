/** A machine finds out whom it talks to: cluster-info, read from a server that is not trusted yet, is signed with the token's secret. */
import { timingSafeEqual } from "node:crypto";
import { request } from "node:https";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf } from "#platform/base/log.ts";
import { CLUSTER_INFO, detachedSignature } from "#platform/controllers/bootstrap-tokens/tokens.ts";
import { UserError } from "../steps.ts";
import { authorityHash, NETWORK_KEY, type NetworkFacts } from "./invitation.ts";

const TIMEOUT_MS = 10_000;
const BYTES_MAX = 1 << 20;
/** A token that was made a moment ago has not signed yet. */
const TRIES = 15;
const PAUSE_MS = 1_000;

const clusterInfo = z.object({ data: z.record(z.string(), z.string()) });
const kubeconfig = z.object({
  clusters: z.array(z.object({ cluster: z.object({ "certificate-authority-data": z.string() }) })).min(1),
});
const facts = z.object({
  podCIDR: z.string(),
  serviceCIDR: z.string(),
  secondary: z.object({ podCIDR: z.string(), serviceCIDR: z.string() }).exactOptional(),
  dns: z.object({ domain: z.string(), address: z.string() }),
});

export interface Discovered {
  /** The cluster's authority, PEM. */
  ca: string;
  network: NetworkFacts;
}

/** The authority in cluster-info's kubeconfig, if the token's secret signed it; undefined without its signature. Throws for a wrong one. */
export function verifiedAuthority(data: Record<string, string>, token: string): string | undefined {
  const [id = "", secret = ""] = token.split(".");
  const text = data["kubeconfig"] ?? "";
  const signature = data[`jws-kubeconfig-${id}`];
  if (signature === undefined) return undefined;
  const [given, wanted] = [Buffer.from(signature), Buffer.from(detachedSignature(text, id, secret))];
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
    throw new Error("cluster-info is signed with another secret: this is not the cluster that the token is of");
  const [first] = kubeconfig.parse(parse(text)).clusters;
  return Buffer.from(first?.cluster["certificate-authority-data"] ?? "", "base64").toString("utf8");
}

function get(url: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    // Whom this is, the signature tells; nothing secret is sent.
    const asking = request(url, { rejectUnauthorized: false, timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.length > BYTES_MAX) asking.destroy(new Error("the answer is too long"));
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`the API server says ${response.statusCode}`)),
      );
    });
    asking.on("timeout", () => asking.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
    asking.on("error", reject);
    asking.end();
  });
}

/** `pin`: the authority's hash, "sha256:…", where it is known. Throws UserError. */
export async function discover(server: string, token: string, pin?: string): Promise<Discovered> {
  const { namespace, name } = CLUSTER_INFO;
  const url = new URL(`/api/v1/namespaces/${namespace}/configmaps/${name}`, server);
  for (let tried = 1; ; tried++) {
    let data: Record<string, string>;
    let ca: string | undefined;
    try {
      ({ data } = clusterInfo.parse(JSON.parse(await get(url))));
      ca = verifiedAuthority(data, token);
    } catch (error) {
      throw new UserError(
        `${server} cannot be joined: ${messageOf(error)}`,
        "on the control plane's machine: npx capstan node token   # prints the whole command",
      );
    }
    if (ca === undefined && tried < TRIES) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      continue;
    }
    if (ca === undefined)
      throw new UserError(
        "the cluster does not know this token; it may have expired",
        "on the control plane's machine: npx capstan node token",
      );
    if (pin !== undefined && authorityHash(ca) !== pin)
      throw new UserError("the cluster's authority is not the one that --ca-cert-hash names", "check URL and hash");
    return { ca, network: facts.parse(JSON.parse(data[NETWORK_KEY] ?? "{}")) };
  }
}
