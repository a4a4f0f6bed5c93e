/**
 * Approves the serving certificates that nodes ask for themselves, where every name and address in them is the Node's own. Upstream leaves
 * these to whoever knows the machines; here a Node's addresses are written by a node that was let in by a token (`decisions/042`).
 */
import type * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest, Node } from "#sdk/api/generated/types.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { isDecided } from "../certificates/reconcile.ts";
import { alternativeNames, commonNameOf, KUBELET_SERVING, parseRequest, refusal } from "../certificates/request.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { CERTIFICATE_SIGNING_REQUESTS } from "../resources.ts";

const PREFIX = "system:node:";

/** Whether a node asks for itself and for nothing that is not its own: pure. */
export function isOwn(
  csr: CertificateSigningRequest,
  request: x509.Pkcs10CertificateRequest,
  node: Node | undefined,
): boolean {
  const { username = "", groups = [] } = csr.spec;
  if (!node || username !== `${PREFIX}${node.metadata.name}` || !groups.includes("system:nodes")) return false;
  if (commonNameOf(request) !== username) return false;
  const own = new Set([node.metadata.name, ...(node.status?.addresses ?? []).map(({ address }) => address)]);
  return alternativeNames(request).every(({ type, value }) => (type === "dns" || type === "ip") && own.has(value));
}

export const kubeletServingApprover: Controller = {
  name: "kubelet-serving-approver",
  async start(context) {
    const queue = createWorkQueue();
    const requests = context.informers.certificateSigningRequests();
    const nodes = context.informers.nodes();
    const add = (csr: CertificateSigningRequest) => {
      if (csr.spec.signerName === KUBELET_SERVING) queue.add(keyOf(csr));
    };
    requests.on({ added: add, updated: add });
    // A Node says its addresses after it has asked.
    const addOf = (node: Node) => {
      for (const csr of requests.list()) if (csr.spec.username === `${PREFIX}${node.metadata.name}`) add(csr);
    };
    nodes.on({ added: addOf, updated: addOf });
    if (!(await synced(context.signal, requests, nodes))) return;
    await runController({
      name: "kubelet-serving-approver",
      queue,
      workers: 1,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const csr = requests.get(key);
        if (!csr || tenantOf(csr) !== "root" || csr.status?.certificate || isDecided(csr)) return;
        const request = parseRequest(csr);
        const node = nodes.get(`root//${csr.spec.username?.slice(PREFIX.length)}`);
        if (refusal(csr, request) !== undefined || !isOwn(csr, request, node)) return;
        const message = "Auto approving kubelet serving certificate: its names and addresses are the node's own.";
        const approved = { type: "Approved", status: "True", reason: "AutoApproved", message };
        const conditions = [...(csr.status?.conditions ?? []), approved];
        const next = { ...csr, status: { ...csr.status, conditions } };
        await clientFor(context, csr).update(CERTIFICATE_SIGNING_REQUESTS, next, { subresource: "approval" });
      },
    });
  },
};
