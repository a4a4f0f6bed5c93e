import { deepEqual } from "node:assert/strict";
import test from "node:test";
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import { podNonzeroRequests, podRequests } from "./pod-requests.ts";

const container = (cpu?: string, memory?: string, more: Partial<Container> = {}): Container => ({
  name: "c",
  resources: { requests: { ...(cpu ? { cpu } : {}), ...(memory ? { memory } : {}) } },
  ...more,
});
const spec = (more: Partial<PodSpec>): PodSpec => ({ containers: [], ...more });
const sidecar = { restartPolicy: "Always" };

test("containers add up, in millicores and bytes", () => {
  const pod = spec({ containers: [container("100m", "1Gi"), container("0.5", "1M")] });
  deepEqual(podRequests(pod), { cpu: 600, memory: 2 ** 30 + 1e6 });
});

test("an init container counts where it needs more than what runs later", () => {
  const pod = spec({ containers: [container("100m")], initContainers: [container("1"), container("300m", "1Ki")] });
  deepEqual(podRequests(pod), { cpu: 1000, memory: 1024 });
});

test("a sidecar runs beside everything that starts after it", () => {
  const initContainers = [container("200m"), container("100m", undefined, sidecar), container("500m")];
  deepEqual(podRequests(spec({ containers: [container("450m")], initContainers })), { cpu: 600 });
});

test("overhead is added, and requests of the pod as a whole stand instead of the sum", () => {
  const resources = { requests: { cpu: "2" } };
  const pod = spec({ containers: [container("1", "1Ki")], resources, overhead: { cpu: "10m" } });
  deepEqual(podRequests(pod), { cpu: 2010, memory: 1024 });
});

test("for spreading, a container that asks for nothing counts a little", () => {
  const pod = spec({ containers: [container(), container("1")] });
  deepEqual(podNonzeroRequests(pod), { cpuMilli: 1100, memory: 400 * 2 ** 20 });
});
