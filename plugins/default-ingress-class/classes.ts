/** Which class an ingress gets that names none: pure (upstream: plugin/pkg/admission/network/defaultingressclass). */
import type { Ingress, IngressClass } from "#sdk/api/generated/types.ts";

/** How ingresses named their class before it was a field. */
const CLASS_ANNOTATION = "kubernetes.io/ingress.class";
const IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class";

const compare = (a = "", b = ""): number => (a < b ? -1 : a > b ? 1 : 0);

/** The newest; of equally old ones the first by name. */
const newestFirst = ({ metadata: a }: IngressClass, { metadata: b }: IngressClass): number =>
  compare(b.creationTimestamp, a.creationTimestamp) || compare(a.name, b.name);

/** Undefined: the ingress names one, or has no spec to name one in, or none is the default. */
export function classFor({ metadata, spec }: Ingress, classes: readonly IngressClass[]): string | undefined {
  if (!spec || spec.ingressClassName !== undefined || metadata.annotations?.[CLASS_ANNOTATION] !== undefined)
    return undefined;
  const defaults = classes.filter((one) => one.metadata.annotations?.[IS_DEFAULT] === "true");
  return defaults.sort(newestFirst)[0]?.metadata.name;
}
