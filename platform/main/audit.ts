/** Audit, when there is a policy (--audit-policy-file, or DATA/audit-policy.yaml): to DATA/logs/audit.jsonl and, where one is named, to a webhook. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Audit, type AuditSink } from "#platform/apiserver/audit/audit.ts";
import { parsePolicy } from "#platform/apiserver/audit/policy.ts";
import { fileSink, webhookSink } from "#platform/apiserver/audit/sinks.ts";
import type { Clock } from "#platform/base/clock.ts";
import type { Log } from "#platform/base/log.ts";
import { paths } from "./config.ts";
import { remoteOf } from "./identity.ts";
import type { ServerOptions } from "./server-options.ts";

/** Undefined without a policy. Throws when the policy cannot be read: a server that was told to record must not run without. */
export function auditOf(dataDir: string, options: ServerOptions, clock: Clock, log: Log): Audit | undefined {
  const policy = options.auditPolicyFile ?? join(dataDir, "audit-policy.yaml");
  if (!existsSync(policy)) {
    if (options.auditPolicyFile) throw new Error(`--audit-policy-file: ${policy} does not exist`);
    return undefined;
  }
  const sinks: AuditSink[] = [fileSink(join(paths(dataDir).logs, "audit.jsonl"), log)];
  const webhook = options.auditWebhookConfigFile ?? join(dataDir, "audit-webhook.kubeconfig");
  if (options.auditWebhookConfigFile || existsSync(webhook)) sinks.push(webhookSink(remoteOf(webhook), log));
  return new Audit(parsePolicy(readFileSync(policy, "utf8")), sinks, clock);
}
