/** What a token secret lacks: pure (upstream: pkg/controller/serviceaccount, tokens_controller.go). */
import type { Secret, ServiceAccount } from "#sdk/api/generated/types.ts";

export const TOKEN_SECRET_TYPE = "kubernetes.io/service-account-token";
export const ACCOUNT_NAME = "kubernetes.io/service-account.name";
const ACCOUNT_UID = "kubernetes.io/service-account.uid";

export const accountNameOf = (secret: Secret): string => secret.metadata.annotations?.[ACCOUNT_NAME] ?? "";

/** The account is the one the secret was made for, not a later one of its name. */
export function belongsTo(secret: Secret, account: ServiceAccount | undefined): boolean {
  const uid = secret.metadata.annotations?.[ACCOUNT_UID];
  return account !== undefined && (!uid || uid === account.metadata.uid);
}

export const lacksToken = (secret: Secret): boolean => !secret.data?.["token"];

/** The secret complete; undefined when it is. `token` is only asked for where there is none. */
export function completed(
  secret: Secret,
  account: ServiceAccount,
  rootCA: string,
  token: string | undefined,
): Secret | undefined {
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const { namespace = "" } = secret.metadata;
  const data: Record<string, string> = { ...secret.data };
  if (rootCA !== "") data["ca.crt"] = base64(rootCA);
  data["namespace"] ||= base64(namespace);
  if (token !== undefined) data["token"] ||= base64(token);
  const same = Object.keys(data).every((key) => data[key] === secret.data?.[key]);
  if (same) return undefined;
  const annotations = {
    ...secret.metadata.annotations,
    [ACCOUNT_NAME]: account.metadata.name ?? "",
    [ACCOUNT_UID]: account.metadata.uid ?? "",
  };
  return { ...secret, metadata: { ...secret.metadata, annotations }, data };
}

/** The account without a reference to a secret that is gone; undefined when it has none. */
export function withoutSecret(account: ServiceAccount, name: string): ServiceAccount | undefined {
  const secrets = account.secrets?.filter((reference) => reference.name !== name);
  return secrets && secrets.length !== account.secrets?.length ? { ...account, secrets } : undefined;
}
