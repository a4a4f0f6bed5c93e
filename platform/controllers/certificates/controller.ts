/**
 * Three loops over CertificateSigningRequests (upstream: pkg/controller/certificates): one approves what kubelets ask for themselves, one signs
 * what is approved for the kubernetes.io signers, one deletes what is old. Nodes are root's: their signers sign nothing in other tenants.
 */
import { timeText } from "#platform/base/clock.ts";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS } from "../resources.ts";
import { issueCertificate } from "./issue.ts";
import { deletableInMs, hasFailed, isApproved, isDecided } from "./reconcile.ts";
import { KUBELET_CLIENT, KUBELET_SERVING, parseRequest, refusal, selfApprovals } from "./request.ts";

const WORKERS = 2;

function over(
  name: string,
  // biome-ignore lint/suspicious/noConfusingVoidType: as a reconcile
  handle: (context: ControllerContext, csr: CertificateSigningRequest) => Promise<{ requeueAfterMs: number } | void>,
): Controller {
  return {
    name,
    async start(context) {
      const queue = createWorkQueue();
      const requests = context.informers.certificateSigningRequests();
      const add = (csr: CertificateSigningRequest) => queue.add(keyOf(csr));
      requests.on({ added: add, updated: add });
      if (!(await synced(context.signal, requests))) return;
      await runController({
        name,
        queue,
        workers: WORKERS,
        log: context.log,
        signal: context.signal,
        async reconcile(key) {
          const csr = requests.get(key);
          return csr && handle(context, csr);
        },
      });
    },
  };
}

interface AccessReview extends KubeObject {
  status?: { allowed?: boolean };
}

export const certificateApprover = over("certificate-approver", async (context, csr) => {
  if (csr.status?.certificate || isDecided(csr) || tenantOf(csr) !== "root") return;
  const client = clientFor(context, csr);
  for (const { subresource, message } of selfApprovals(csr)) {
    const { username: user, uid, groups, extra } = csr.spec;
    const resourceAttributes = {
      group: "certificates.k8s.io",
      resource: "certificatesigningrequests",
      verb: "create",
      subresource,
      version: "*",
    };
    const review = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      metadata: {},
      spec: { user, uid, groups, extra, resourceAttributes },
    };
    const { status } = await client.create<AccessReview>(SUBJECT_ACCESS_REVIEWS, review);
    if (!status?.allowed) continue;
    const approved = { type: "Approved", status: "True", reason: "AutoApproved", message };
    const conditions = [...(csr.status?.conditions ?? []), approved];
    const next = { ...csr, status: { ...csr.status, conditions } };
    await client.update(CERTIFICATE_SIGNING_REQUESTS, next, { subresource: "approval" });
    return;
  }
});

export const certificateSigner = over("certificate-signer", async (context, csr) => {
  if (csr.status?.certificate || !isApproved(csr) || hasFailed(csr)) return;
  const tenant = tenantOf(csr);
  if (tenant !== "root" && [KUBELET_CLIENT, KUBELET_SERVING].includes(csr.spec.signerName)) return;
  const request = parseRequest(csr);
  const why = refusal(csr, request);
  if (why === "unknown") return;
  const authority = await context.authorityOf?.(tenant);
  if (!authority) return;
  const now = Date.now();
  const failed = {
    type: "Failed",
    status: "True",
    reason: "SignerValidationFailure",
    message: why,
    lastUpdateTime: timeText(now),
  };
  const status =
    why === undefined
      ? {
          ...csr.status,
          certificate: Buffer.from(await issueCertificate(csr, request, authority, now)).toString("base64"),
        }
      : { ...csr.status, conditions: [...(csr.status?.conditions ?? []), failed] };
  await clientFor(context, csr).update(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status }, { subresource: "status" });
});

export const certificateCleaner = over("certificate-cleaner", async (context, csr) => {
  const inMs = deletableInMs(csr, Date.now());
  if (inMs === undefined) return;
  if (inMs > 0) return { requeueAfterMs: inMs };
  const { name = "", uid } = csr.metadata;
  try {
    await clientFor(context, csr).delete(CERTIFICATE_SIGNING_REQUESTS, { name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
  }
});
