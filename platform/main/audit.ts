/** Audit, when there is a policy: DATA/audit-policy.yaml; events go to DATA/logs/audit.jsonl and, with DATA/audit-webhook.kubeconfig, there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Audit, type AuditSink } from "#platform/apiserver/audit/audit.ts";
import { parsePolicy } from "#platform/apiserver/audit/policy.ts";
import { fileSink, webhookSink } from "#platform/apiserver/audit/sinks.ts";
import type { Clock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { paths } from "./config.ts";

/** Undefined without a policy. Throws when the policy cannot be read: a server that was told to record must not run without. */
export function auditOf(dataDir: string, clock: Clock, log: Log): Audit | undefined {
  const policy = join(dataDir, "audit-policy.yaml");
  if (!existsSync(policy)) return undefined;
  const sinks: AuditSink[] = [fileSink(join(paths(dataDir).logs, "audit.jsonl"), log)];
  const webhook = join(dataDir, "audit-webhook.kubeconfig");
  if (existsSync(webhook)) {
    const { server, ca, cert, key, token } = loadKubeconfig(webhook);
    const credentials = { ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}), ...(token ? { token } : {}) };
    sinks.push(webhookSink({ url: server, ...credentials }, log));
  }
  return new Audit(parsePolicy(readFileSync(policy, "utf8")), sinks, clock);
}
