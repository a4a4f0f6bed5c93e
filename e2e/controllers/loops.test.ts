/** Loops that need more of the API than its objects: extension servers, subresources, keys. */
import { equal, match } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
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
});
