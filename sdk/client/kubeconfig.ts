/** The parts of a kubeconfig that the client needs (client-go's clientcmd/api/v1). Exec plugins are not run. */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { ClientOptions } from "./client.ts";

const kubeconfigSchema = z.object({
  "current-context": z.string().default(""),
  clusters: z
    .array(
      z.object({
        name: z.string(),
        cluster: z.object({
          server: z.string(),
          "certificate-authority": z.string().optional(),
          "certificate-authority-data": z.string().optional(),
        }),
      }),
    )
    .default([]),
  contexts: z
    .array(
      z.object({
        name: z.string(),
        context: z.object({ cluster: z.string(), user: z.string().default(""), namespace: z.string().optional() }),
      }),
    )
    .default([]),
  users: z
    .array(
      z.object({
        name: z.string(),
        user: z.object({
          token: z.string().optional(),
          tokenFile: z.string().optional(),
          "client-certificate": z.string().optional(),
          "client-certificate-data": z.string().optional(),
          "client-key": z.string().optional(),
          "client-key-data": z.string().optional(),
        }),
      }),
    )
    .default([]),
});

/**
 * Reads the file's current context (or the one named).
 * Throws Error naming the file and what is missing in it.
 */
export function loadKubeconfig(path: string, contextName?: string): ClientOptions & { namespace?: string } {
  return parseKubeconfig(readFileSync(path, "utf8"), path, contextName);
}

/** As loadKubeconfig, from text; relative file names in it are relative to `path`'s folder. */
export function parseKubeconfig(
  text: string,
  path: string,
  contextName?: string,
): ClientOptions & { namespace?: string } {
  const config = kubeconfigSchema.safeParse(parse(text));
  if (!config.success) throw new Error(`${path} is not a kubeconfig: ${z.prettifyError(config.error)}`);
  const { contexts, clusters, users } = config.data;
  const wanted = contextName ?? config.data["current-context"];
  const context = contexts.find((c) => c.name === wanted)?.context;
  if (!context) throw new Error(`${path} has no context "${wanted}"`);
  const cluster = clusters.find((c) => c.name === context.cluster)?.cluster;
  if (!cluster) throw new Error(`${path} has no cluster "${context.cluster}"`);
  const user = users.find((u) => u.name === context.user)?.user;
  const pem = (data: string | undefined, file: string | undefined): string | undefined => {
    if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
    return file === undefined ? undefined : readFileSync(resolve(dirname(path), file), "utf8");
  };
  return {
    server: cluster.server,
    ca: pem(cluster["certificate-authority-data"], cluster["certificate-authority"]),
    cert: pem(user?.["client-certificate-data"], user?.["client-certificate"]),
    key: pem(user?.["client-key-data"], user?.["client-key"]),
    token: user?.token,
    tokenFile: user?.tokenFile ? resolve(dirname(path), user.tokenFile) : undefined,
    namespace: context.namespace,
  };
}
