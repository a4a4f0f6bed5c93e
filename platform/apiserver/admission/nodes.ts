/**
 * What of NodeRestriction asks the authorizer or looks into a certificate request, which its component cannot (`decisions/087`): for which audiences a
 * node gets tokens of its pods (KEP-4412), and for whom it asks certificates.
 */
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type {
  CertificateSigningRequest,
  CSIDriver,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  TokenRequest,
  Volume,
} from "#sdk/api/generated/types.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import { nodeName } from "../authz/nodes.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { as } from "../resources/as.ts";
import { commonNameOf } from "../resources/certificates/pkcs10.ts";
import type { AdmissionRule } from "./chain.ts";

const NODE_SIGNERS = ["kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kubelet-serving"];
const AUDIENCE_VERB = "request-serviceaccounts-token-audience";

/** Drivers that took over volumes which once were built in (upstream's csi-translation-lib). */
const MIGRATED = {
  awsElasticBlockStore: "ebs.csi.aws.com",
  azureDisk: "disk.csi.azure.com",
  azureFile: "file.csi.azure.com",
  cinder: "cinder.csi.openstack.org",
  gcePersistentDisk: "pd.csi.storage.gke.io",
  portworxVolume: "pxd.portworx.com",
  vsphereVolume: "csi.vsphere.vmware.com",
} as const;

const migratedDriver = (source: Partial<Record<keyof typeof MIGRATED, unknown>>): string | undefined =>
  (Object.keys(MIGRATED) as (keyof typeof MIGRATED)[])
    .filter((type) => source[type] !== undefined)
    .map((type) => MIGRATED[type])[0];

/** A volume that cannot be followed to its driver, as upstream words it. */
class Missing extends Error {}

/** Reads what a pod's volumes lead to; the drivers are root's. */
class Volumes {
  readonly #store: Store;
  readonly #a: AdmissionAttributes;

  constructor(store: Store, a: AdmissionAttributes) {
    this.#store = store;
    this.#a = a;
  }

  async #get<T>(resource: string, namespace: string, name: string): Promise<T | undefined> {
    const tenant = resource.startsWith("csidrivers") ? ROOT_TENANT : this.#a.tenant;
    const stored = await this.#store.get({ tenant, resource, namespace, name }, { type: "consistent" });
    return stored && (JSON.parse(stored.document) as T);
  }

  async #read<T>(resource: string, kind: string, namespace: string, name: string): Promise<T> {
    const found = await this.#get<T>(resource, namespace, name);
    if (!found) throw new Missing(`${kind} ${JSON.stringify(name)} not found`);
    return found;
  }

  pod(name: string): Promise<Pod | undefined> {
    return this.#get<Pod>("pods", this.#a.namespace, name);
  }

  async #ofClaim(name: string): Promise<string | undefined> {
    const { namespace } = this.#a;
    const kind = "persistentvolumeclaims";
    const { spec } = await this.#read<PersistentVolumeClaim>(kind, "persistentvolumeclaim", namespace, name);
    const volume = spec?.volumeName ?? "";
    const found = await this.#read<PersistentVolume>("persistentvolumes", "persistentvolume", "", volume);
    return found.spec?.csi?.driver ?? migratedDriver(found.spec ?? {});
  }

  async #driver(pod: Pod, volume: Volume): Promise<string | undefined> {
    if (volume.ephemeral?.volumeClaimTemplate) return await this.#ofClaim(`${pod.metadata.name}-${volume.name}`);
    if (volume.persistentVolumeClaim) return await this.#ofClaim(volume.persistentVolumeClaim.claimName);
    return volume.csi?.driver ?? migratedDriver(volume);
  }

  /** Whether a volume of the pod is for tokens of this audience; throws Missing when it cannot be told. */
  async wantAudience(pod: Pod, audience: string): Promise<boolean> {
    const missing: string[] = [];
    for (const volume of pod.spec?.volumes ?? []) {
      const tokens = (volume.projected?.sources ?? []).flatMap((source) => source.serviceAccountToken ?? []);
      if (tokens.some((token) => (token.audience ?? "") === audience)) return true;
      try {
        const driver = await this.#driver(pod, volume);
        if (driver === undefined) continue;
        const { spec } = await this.#read<CSIDriver>(
          "csidrivers.storage.k8s.io",
          "csidriver.storage.k8s.io",
          "",
          driver,
        );
        if (spec?.tokenRequests?.some((request) => (request.audience ?? "") === audience)) return true;
      } catch (error) {
        if (!(error instanceof Missing)) throw error;
        missing.push(error.message);
      }
    }
    const [first, ...more] = missing;
    if (first === undefined) return false;
    throw new Missing(more.length === 0 ? first : `[${missing.join(", ")}]`);
  }
}

export function nodeRules(store: Store, authorizer: Authorizer): AdmissionRule {
  /** Why the node gets no token of this audience; what the component checks is left to it. */
  async function audienceRefusal(node: string, a: AdmissionAttributes): Promise<string | undefined> {
    const { boundObjectRef: ref, audiences = [] } = as<TokenRequest>(a.object ?? { metadata: {} }).spec ?? {};
    if (ref?.kind !== "Pod" || !ref.name || audiences.length > 1) return undefined;
    const [audience = ""] = audiences;
    const shown = `audience ${JSON.stringify(audience)}`;
    const volumes = new Volumes(store, a);
    const pod = await volumes.pod(ref.name);
    if (!pod || pod.metadata.uid !== ref.uid || pod.spec?.nodeName !== node) return undefined;
    try {
      if (await volumes.wantAudience(pod, audience)) return undefined;
    } catch (error) {
      if (error instanceof Missing) return `error validating ${shown}: ${error.message}`;
      throw error;
    }
    const { user, tenant, namespace, name } = a;
    const resource = { group: "", version: "v1", resource: audience, subresource: "", namespace, name };
    const { decision } = await authorizer.authorize({ user, tenant, verb: AUDIENCE_VERB, resource });
    return decision === "allow"
      ? undefined
      : `${shown} not found in pod spec volume, ${user.name} is not authorized to request tokens for this audience`;
  }

  return {
    async validate(a) {
      const { resource, subresource, operation, object, user, name } = a;
      const node = nodeName(user);
      if (node === undefined || operation !== "CREATE" || !object) return;
      const refuse = (why: string) => forbidden(resource, name || (object.metadata.name ?? ""), why);
      if (resource.group === "" && resource.resource === "serviceaccounts" && subresource === "token") {
        const why = await audienceRefusal(node, a);
        if (why !== undefined) throw refuse(why);
      }
      if (resource.group !== "certificates.k8s.io" || resource.resource !== "certificatesigningrequests") return;
      const { signerName = "", request = "" } = as<CertificateSigningRequest>(object).spec ?? {};
      const own = `system:node:${node}`;
      if (NODE_SIGNERS.includes(signerName) && commonNameOf(request) !== own)
        throw refuse(`can only create a node CSR with CN=${own}`);
    },
  };
}
