/**
 * Who may decide about certificate requests (upstream's CertificateApproval, CertificateSigning and CertificateSubjectRestriction): approving and signing
 * need a verb of their own on the signer, besides the right to write the view.
 */
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { as } from "../resources/as.ts";
import { organizationsOf } from "../resources/certificates/pkcs10.ts";
import { same } from "../resources/checks.ts";
import type { AdmissionRule } from "./chain.ts";

const CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client";
const MASTERS = "system:masters";

/** Which of the three rules hold. */
export interface CertificateRules {
  approval: boolean;
  signing: boolean;
  subject: boolean;
}

export function certificateRules(authorizer: Authorizer, on: CertificateRules): AdmissionRule {
  /** On the signer itself, or on all of its domain. */
  async function may({ user, tenant }: AdmissionAttributes, verb: string, signer: string): Promise<boolean> {
    for (const name of [signer, `${signer.split("/")[0]}/*`]) {
      const resource = {
        group: "certificates.k8s.io",
        version: "*",
        resource: "signers",
        subresource: "",
        namespace: "",
        name,
      };
      if ((await authorizer.authorize({ user, tenant, verb, resource })).decision === "allow") return true;
    }
    return false;
  }

  return {
    async validate(a) {
      const { resource, subresource, operation, object, oldObject, name } = a;
      if (resource.group !== "certificates.k8s.io" || resource.resource !== "certificatesigningrequests") return;
      const refuse = (why: string) => forbidden(resource, name || (object?.metadata.name ?? ""), why);
      if (operation === "UPDATE" && oldObject && object && (subresource === "approval" || subresource === "status")) {
        const [before, after] = [as<CertificateSigningRequest>(oldObject), as<CertificateSigningRequest>(object)];
        // The signer as it is: whoever changes it on the way gains nothing.
        const signer = before.spec?.signerName ?? "";
        const decided =
          !same(before.status?.certificate, after.status?.certificate) ||
          !same(before.status?.conditions, after.status?.conditions);
        if (on.approval && subresource === "approval" && !(await may(a, "approve", signer)))
          throw refuse(`user not permitted to approve requests with signerName ${JSON.stringify(signer)}`);
        if (on.signing && subresource === "status" && decided && !(await may(a, "sign", signer)))
          throw refuse(`user not permitted to sign requests with signerName ${JSON.stringify(signer)}`);
      }
      if (on.subject && operation === "CREATE" && subresource === "" && object) {
        const { signerName, request = "" } = as<CertificateSigningRequest>(object).spec ?? {};
        if (signerName === CLIENT_SIGNER && organizationsOf(request).includes(MASTERS))
          throw refuse(`use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`);
      }
    },
  };
}
