/** What the handlers of the agent's API share: refusals, and the pod that a path names. */
import { tenantOf } from "#sdk/client/port.ts";
import type { Agent } from "../agent.ts";
import type { NodePod } from "../context.ts";

export class HttpError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export const pageNotFound = (): HttpError => new HttpError(404, "404 page not found");

/** Without a uid root's pod of that name: two tenants may have the same names. */
export function podOf(agent: Agent, namespace: string, name: string, uid: string | null): NodePod {
  const pod = agent
    .pods()
    .find((one) =>
      uid === null || uid === ""
        ? tenantOf(one) === "root" && one.metadata.namespace === namespace && one.metadata.name === name
        : one.metadata.uid === uid && one.metadata.namespace === namespace && one.metadata.name === name,
    );
  if (pod === undefined) throw new HttpError(404, `pod "${name}" in namespace "${namespace}" not found on this node`);
  return pod;
}

export const flag = (query: URLSearchParams, name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");
