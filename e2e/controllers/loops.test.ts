/** Loops that need more of the API than its objects: extension servers, subresources, keys. */
import { deepEqual, equal, match } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type {
  CertificateSigningRequest,
  Deployment,
  HorizontalPodAutoscaler,
  Pod,
  Secret,
} from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { until } from "#sdk/testing/until.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { address, serveMetrics } from "./metrics-server.ts";
import { signingRequest } from "./requests.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const SECRETS = { group: "", version: "v1", resource: "secrets" };
const DEPLOYMENTS = { group: "apps", version: "v1", resource: "deployments" };
const AUTOSCALERS = { group: "autoscaling", version: "v2", resource: "horizontalpodautoscalers" };
const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
const REQUESTS = { group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests" };
const WAIT_MS = 30_000;

describe("the loops, with a real API server", () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane();
  });
  after(async () => plane?.remove());

  it("a token secret's token opens the API until it is taken out of the secret", async () => {
    await plane.kubectl("create", "serviceaccount", "robot");
    const metadata = { name: "robot-token", namespace: "default" };
    const annotations = { "kubernetes.io/service-account.name": "robot" };
    const type = "kubernetes.io/service-account-token";
    await plane.client.create(SECRETS, { metadata: { ...metadata, annotations }, type } as KubeObject);
    let token = "";
    await until(async () => {
      token = (await plane.client.get<Secret>(SECRETS, metadata)).data?.["token"] ?? "";
      return token !== "";
    }, WAIT_MS);
    const { server, ca } = loadKubeconfig(plane.kubeconfig);
    const robot = createClient({ server, ...(ca ? { ca } : {}), token: Buffer.from(token, "base64").toString() });
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
    const who = async () =>
      robot.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", JSON.stringify(review), {
        "content-type": "application/json",
      });
    match((await who()).body, /system:serviceaccount:default:robot/);
    await plane.client.delete(SECRETS, metadata);
    await until(async () => (await who()).code === 401, WAIT_MS);
    robot.close();
  });

  it("an approved request is signed by the cluster's authority; the certificate names its user", async () => {
    const { pem } = await signingRequest("O=dev, CN=jane");
    await plane.client.create(REQUESTS, {
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { name: "jane" },
      spec: {
        request: Buffer.from(pem).toString("base64"),
        signerName: "kubernetes.io/kube-apiserver-client",
        usages: ["client auth"],
      },
    } as KubeObject);
    await plane.kubectl("certificate", "approve", "jane");
    let certificate = "";
    await until(async () => {
      const { status } = await plane.client.get<CertificateSigningRequest>(REQUESTS, { name: "jane" });
      certificate = status?.certificate ?? "";
      return certificate !== "";
    }, WAIT_MS);
    equal(new X509Certificate(Buffer.from(certificate, "base64")).subject, "O=dev\nCN=jane");
    match(await plane.kubectl("get", "csr", "jane"), /Approved,Issued/);
  });

  it("a tenant's requests are signed by the tenant's own authority, and open its API; token secrets too", async () => {
    const { server, ca } = loadKubeconfig(plane.kubeconfig);
    await plane.client.create(TENANTS, { apiVersion: "capstan.dev/v1", kind: "Tenant", metadata: { name: "blue" } });
    const blue = plane.client.tenant("blue");
    const { pem, key } = await signingRequest("CN=jane");
    const request = await blue.create<CertificateSigningRequest>(REQUESTS, {
      apiVersion: "certificates.k8s.io/v1",
      kind: "CertificateSigningRequest",
      metadata: { name: "jane" },
      spec: {
        request: Buffer.from(pem).toString("base64"),
        signerName: "kubernetes.io/kube-apiserver-client",
        usages: ["client auth"],
      },
    });
    const conditions = [{ type: "Approved", status: "True", reason: "Test" }];
    await blue.update(REQUESTS, { ...request, status: { conditions } }, { subresource: "approval" });
    let cert = "";
    await until(async () => {
      const { status } = await blue.get<CertificateSigningRequest>(REQUESTS, { name: "jane" });
      cert = Buffer.from(status?.certificate ?? "", "base64").toString();
      return cert !== "";
    }, WAIT_MS);
    const type = "kubernetes.io/service-account-token";
    const metadata = { name: "token", namespace: "default" };
    await until(
      async () =>
        (await blue.list({ group: "", version: "v1", resource: "serviceaccounts" })).items.some(
          (a) => a.metadata.name === "default" && a.metadata.namespace === "default",
        ),
      WAIT_MS,
    );
    const annotations = { "kubernetes.io/service-account.name": "default" };
    await blue.create(SECRETS, { metadata: { ...metadata, annotations }, type } as KubeObject);
    let token = "";
    await until(async () => {
      token = Buffer.from((await blue.get<Secret>(SECRETS, metadata)).data?.["token"] ?? "", "base64").toString();
      return token !== "";
    }, WAIT_MS);
    const review = JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" });
    for (const [credential, user] of [
      [{ cert, key }, "jane"],
      [{ token }, "system:serviceaccount:default:default"],
    ] as const) {
      const someone = createClient({ server, ...(ca ? { ca } : {}), ...credential });
      const { body } = await someone.raw("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review, {
        "content-type": "application/json",
      });
      match(body, new RegExp(`"username":"${user}"`));
      // Whose credential names no path is in its own tenant; root's is closed to it.
      const { code } = await someone.tenant("root").raw("GET", "/api/v1/namespaces");
      equal(code, 403);
      someone.close();
    }
  });

  const skip = address ? false : "this machine has no address but loopback: an endpoint must have another";
  it("an autoscaler follows what the metrics API says", { skip }, async (t) => {
    const spec = {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: {
        metadata: { labels: { app: "web" } },
        spec: { containers: [{ name: "c", image: "example", resources: { requests: { cpu: "100m" } } }] },
      },
    };
    await plane.client.create(DEPLOYMENTS, { metadata: { name: "web", namespace: "default" }, spec } as KubeObject);
    const pods = async () => (await plane.client.list<Pod>(PODS, { namespace: "default" })).items;
    await until(async () => (await pods()).length === 2, WAIT_MS);
    const metrics = await serveMetrics(plane.client);
    t.after(() => metrics.close());
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString().replace(/\.\d+/, "");
    for (const pod of await pods()) {
      metrics.usage.set(pod.metadata.name ?? "", "150m");
      const conditions = [{ type: "Ready", status: "True", lastTransitionTime: hourAgo }];
      const status = { phase: "Running", startTime: hourAgo, conditions };
      await plane.client.update(PODS, { ...pod, status }, { subresource: "status" });
    }
    const served = async () =>
      (await plane.client.raw("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods")).code;
    await until(async () => (await served()) === 200, WAIT_MS);
    await plane.client.create(AUTOSCALERS, {
      metadata: { name: "web", namespace: "default" },
      spec: {
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
        maxReplicas: 5,
        metrics: [
          { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
        ],
      },
    } as KubeObject);
    const size = async () =>
      (await plane.client.get<Deployment>(DEPLOYMENTS, { namespace: "default", name: "web" })).spec?.replicas;
    await until(async () => (await size()) === 4, WAIT_MS);
    const get = () => plane.client.get<HorizontalPodAutoscaler>(AUTOSCALERS, { namespace: "default", name: "web" });
    await until(async () => (await get()).status?.desiredReplicas === 4, WAIT_MS);
    const { status } = await get();
    equal(status?.conditions?.find((c) => c.type === "AbleToScale")?.reason, "SucceededRescale");
    match(await plane.kubectl("describe", "hpa", "web"), /SuccessfulRescale\s.*New size: 4; reason: cpu resource/);
  });

  it("each loop may write what it writes: addresses, claims of devices, attachments, notes on nodes", async () => {
    const apply = (...objects: object[]) => plane.kubectl("create", "-f", manifest(plane, objects));
    const named = (resource: string) => plane.kubectl("get", resource, "-A", "-o", "name");
    const pod = (name: string, spec: object) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: { nodeName: "far", containers: [{ name: "c", image: "example" }], ...spec },
    });
    await apply(
      { apiVersion: "v1", kind: "Node", metadata: { name: "far" } },
      {
        apiVersion: "resource.k8s.io/v1",
        kind: "ResourceClaimTemplate",
        metadata: { name: "gpus" },
        spec: { spec: { devices: { requests: [{ name: "one", exactly: { deviceClassName: "gpu" } }] } } },
      },
      { apiVersion: "storage.k8s.io/v1", kind: "CSIDriver", metadata: { name: "disk.example" }, spec: {} },
      {
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name: "disk" },
        spec: {
          capacity: { storage: "1Gi" },
          accessModes: ["ReadWriteOnce"],
          claimRef: { namespace: "default", name: "data" },
          csi: { driver: "disk.example", volumeHandle: "h" },
        },
      },
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: "data" },
        spec: {
          storageClassName: "",
          volumeName: "disk",
          accessModes: ["ReadWriteOnce"],
          resources: { requests: { storage: "1Gi" } },
        },
      },
      pod("devices", { resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "gpus" }] }),
      pod("stores", { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] }),
    );
    await until(async () => (await named("servicecidrs")).includes("/kubernetes"), WAIT_MS);
    await until(async () => (await named("ipaddresses")).includes("10.96.0.1"), WAIT_MS);
    await until(async () => (await named("volumeattachments")).includes("/csi-"), WAIT_MS);
    await until(async () => (await named("resourceclaims")).includes("/devices-gpu-"), WAIT_MS);
    await until(
      async () =>
        (await plane.kubectl(
          "get",
          "pod",
          "devices",
          "-o",
          "jsonpath={.status.resourceClaimStatuses[0].resourceClaimName}",
        )) !== "",
      WAIT_MS,
    );
    await until(
      async () => (await plane.kubectl("get", "node", "far", "-o", "yaml")).includes("node.alpha.kubernetes.io/ttl"),
      WAIT_MS,
    );
    await plane.kubectl("delete", "pod", "devices", "stores", "--force", "--grace-period=0");
    await until(async () => !(await named("volumeattachments")).includes("/csi-"), WAIT_MS);
    await until(async () => !(await named("resourceclaims")).includes("/devices-gpu-"), WAIT_MS);
    deepEqual(
      plane.complaints.filter((line) => line.includes("forbidden")),
      [],
    );
  });
});

function manifest({ config }: ControlPlane, items: object[]): string {
  const path = join(config.dataDir, "objects.json");
  writeFileSync(path, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  return path;
}
