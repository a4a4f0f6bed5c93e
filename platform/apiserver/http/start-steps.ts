/**
 * What a server does between its start and its first answer, by the names under which kube-apiserver's health endpoints tell of it: monitors
 * ask for them and exclude them one by one. Several of upstream's are one step here.
 */
import { unavailable } from "#sdk/api/status.ts";
import type { HealthCheck } from "./system.ts";

const hook = (name: string): string => `poststarthook/${name}`;

const NAMES = {
  /** The cache has what is stored. */
  storage: [hook("generic-apiserver-start-informers"), hook("storage-readiness")],
  admission: [hook("start-apiserver-admission-initializer")],
  fairness: [
    hook("priority-and-fairness-config-consumer"),
    hook("priority-and-fairness-config-producer"),
    hook("priority-and-fairness-filter"),
  ],
  /** Every tenant has its first objects, and its `kubernetes` service the server's addresses. */
  tenants: [
    hook("bootstrap-controller"),
    hook("start-system-namespaces-controller"),
    hook("start-service-ip-repair-controllers"),
    hook("start-kubernetes-service-cidr-controller"),
    hook("start-cluster-authentication-info-controller"),
    hook("scheduling/bootstrap-system-priority-classes"),
  ],
  customResources: [
    hook("start-apiextensions-informers"),
    hook("start-apiextensions-controllers"),
    hook("crd-informer-synced"),
  ],
  aggregation: [
    hook("start-kube-aggregator-informers"),
    hook("apiservice-status-local-available-controller"),
    hook("apiservice-status-remote-available-controller"),
    hook("apiservice-registration-controller"),
    hook("apiservice-discovery-controller"),
    hook("kube-apiserver-autoregistration"),
    "autoregister-completion",
    hook("apiservice-openapi-controller"),
    hook("apiservice-openapiv3-controller"),
  ],
} as const;

export type StartStep = keyof typeof NAMES;

export class StartSteps {
  readonly #done = new Set<StartStep>();

  done(step: StartStep): void {
    this.#done.add(step);
  }

  /** In the order of the steps; each fails until its step is done. */
  checks(): HealthCheck[] {
    const steps = Object.entries(NAMES) as [StartStep, readonly string[]][];
    return steps.flatMap(([step, names]) => names.map((name) => ({ name, check: () => this.#check(step) })));
  }

  async #check(step: StartStep): Promise<void> {
    if (!this.#done.has(step)) throw unavailable("not finished");
  }
}
