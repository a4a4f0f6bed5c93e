/** Names of artifacts: HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]. */
import { DIGEST } from "./digest.ts";

export interface Reference {
  /** "registry.example:5000" */
  host: string;
  /** "team/plugins/x" */
  repository: string;
  /** "" where it has none. */
  tag: string;
  digest: string;
}

const NAME =
  /^(?<host>[a-zA-Z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)\/(?<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?<tag>[\w][\w.-]{0,127}))?(?:@(?<digest>.+))?$/;

/** Throws saying what is wrong. */
export function parseReference(text: string): Reference {
  const { host = "", repository = "", tag = "", digest = "" } = NAME.exec(text)?.groups ?? {};
  if (!host || !(host.includes(".") || host.includes(":") || host === "localhost"))
    throw new Error(`"${text}" is no reference: HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX], with the registry's host`);
  if (digest && !DIGEST.test(digest)) throw new Error(`"${digest}" is no digest: sha256: and 64 hexadecimal digits`);
  return { host, repository, tag, digest };
}

export const repositoryText = ({ host, repository }: Pick<Reference, "host" | "repository">): string =>
  `${host}/${repository}`;
