/** Which images a pod may run; pure. */

export interface ImagePolicy {
  /** Patterns of repositories; a star at the end means all that begin so. Left out: any. */
  allowed?: string[];
  deniedTags?: string[];
  requireDigest?: boolean;
  exemptNamespaces?: string[];
  /** "warn": what would be refused is told as a warning. */
  mode?: "enforce" | "warn";
}

export interface ImagePod {
  metadata?: { namespace?: string };
  spec?: Partial<Record<"containers" | "initContainers" | "ephemeralContainers", { name: string; image?: string }[]>>;
}

export interface ImageName {
  /** With its registry: "docker.io/library/nginx". */
  repository: string;
  /** "" where the digest alone names it. */
  tag: string;
  /** "" where there is none. */
  digest: string;
}

/** As container runtimes complete names: docker.io, and library/ there; the tag latest where neither tag nor digest is given. */
export function imageName(image: string): ImageName {
  const [named = "", digest = ""] = image.split("@", 2);
  const colon = named.lastIndexOf(":");
  const hasTag = colon > named.lastIndexOf("/");
  const path = hasTag ? named.slice(0, colon) : named;
  const [first = "", ...rest] = path.split("/");
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  const repository = isHost ? path : rest.length > 0 ? `docker.io/${path}` : `docker.io/library/${path}`;
  return { repository, tag: hasTag ? named.slice(colon + 1) : digest ? "" : "latest", digest };
}

const isLike = (pattern: string, repository: string): boolean =>
  pattern.endsWith("*") ? repository.startsWith(pattern.slice(0, -1)) : pattern === repository;

function wrong(image: string, policy: ImagePolicy): string | undefined {
  const { repository, tag, digest } = imageName(image);
  if (policy.allowed && !policy.allowed.some((pattern) => isLike(pattern, repository)))
    return `${repository} is not among the allowed: ${policy.allowed.join(", ") || "none"}`;
  if (policy.requireDigest && digest === "") return "a digest is required (NAME@sha256:…)";
  if (digest === "" && policy.deniedTags?.includes(tag)) return `the tag ${tag} is denied`;
  return undefined;
}

/** What is wrong with a pod's images, a sentence each. */
export function violations(policy: ImagePolicy, { metadata, spec = {} }: ImagePod): string[] {
  if (policy.exemptNamespaces?.includes(metadata?.namespace ?? "")) return [];
  const lists = [spec.initContainers, spec.containers, spec.ephemeralContainers];
  return lists.flatMap((containers) =>
    (containers ?? []).flatMap(({ name, image = "" }) => {
      const why = wrong(image, policy);
      return why === undefined ? [] : [`container ${JSON.stringify(name)}, image ${JSON.stringify(image)}: ${why}`];
    }),
  );
}
