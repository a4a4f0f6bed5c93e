/** Secrets of type kubernetes.io/service-account-token get their token, and go with their account (upstream: pkg/controller/serviceaccount). */
import type { Secret, ServiceAccount } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { isTerminating, namespaceKey } from "../objects.ts";
import { SECRETS, SERVICE_ACCOUNTS } from "../resources.ts";
import { accountNameOf, belongsTo, completed, lacksToken, withoutSecret } from "./reconcile.ts";

const WORKERS = 2;

export const serviceAccountTokenController: Controller = {
  name: "serviceaccount-token",
  async start(context) {
    const queue = createWorkQueue();
    const secrets = context.informers.tokenSecrets();
    const accounts = context.informers.serviceAccounts();
    const add = (secret: Secret) => queue.add(keyOf(secret));
    const addOf = (account: ServiceAccount) => {
      for (const secret of secrets.byIndex("account", keyOf(account))) add(secret);
    };
    secrets.on({
      added: add,
      updated: add,
      deleted(secret) {
        add(secret);
      },
    });
    accounts.on({ added: addOf, deleted: addOf });
    if (!(await synced(context.signal, secrets, accounts))) return;
    await runController({
      name: "serviceaccount-token",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const secret = secrets.get(key);
        if (!secret) return forget(context, key, accounts.list());
        if (isTerminating(secret)) return;
        const known = accounts.get(`${namespaceKey(secret)}/${accountNameOf(secret)}`);
        const account = belongsTo(secret, known) ? known : await liveAccount(context, secret);
        if (!account) return remove(context, secret);
        await complete(context, secret, account);
      },
    });
  },
};

/** The cache may not have the account yet: only the API knows that there is none. */
async function liveAccount(context: ControllerContext, secret: Secret): Promise<ServiceAccount | undefined> {
  const { namespace } = secret.metadata;
  try {
    const name = accountNameOf(secret);
    const account = await clientFor(context, secret).get<ServiceAccount>(SERVICE_ACCOUNTS, { namespace, name });
    return belongsTo(secret, account) ? account : undefined;
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}

async function complete(context: ControllerContext, secret: Secret, account: ServiceAccount): Promise<void> {
  const { tenant } = splitKey(keyOf(secret));
  const { namespace = "", name = "" } = secret.metadata;
  const subject = {
    namespace,
    account: { name: account.metadata.name ?? "", uid: account.metadata.uid ?? "" },
    secret: name,
  };
  const token = lacksToken(secret) ? await context.accountToken?.(tenant, subject) : undefined;
  const next = completed(secret, account, context.rootCA, token);
  if (!next) return;
  try {
    await clientFor(context, secret).update(SECRETS, next);
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

async function remove(context: ControllerContext, secret: Secret): Promise<void> {
  const { namespace, name = "", uid } = secret.metadata;
  try {
    await clientFor(context, secret).delete(SECRETS, { namespace, name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
  }
}

/** Accounts name no secret that is gone. */
async function forget(context: ControllerContext, key: string, accounts: readonly ServiceAccount[]): Promise<void> {
  const { tenant, namespace, name } = splitKey(key);
  for (const account of accounts) {
    if (namespaceKey(account) !== `${tenant}/${namespace}`) continue;
    const next = withoutSecret(account, name);
    if (next) await clientFor(context, account).update(SERVICE_ACCOUNTS, next);
  }
}
