/**
 * The URL says what is shown: /TENANT/SELECTION/PLACE and, for one object, /NAMESPACE/NAME behind it. "-" stands for the
 * credential's own tenant, for all namespaces, and for the namespace of what has none.
 */
export interface Route {
  /** "": the credential's own. */
  tenant: string;
  /** The chosen namespace; "": all. */
  namespace: string;
  place: string;
  object?: { namespace: string; name: string };
}

const part = (text: string): string => (text === "" ? "-" : encodeURIComponent(text));
const unpart = (text: string | undefined): string =>
  text === undefined || text === "-" ? "" : decodeURIComponent(text);

export function parseRoute(path: string): Route {
  const [tenant, namespace, place, objectNamespace, name] = path.split("/").filter((p) => p !== "");
  return {
    tenant: unpart(tenant),
    namespace: unpart(namespace),
    place: unpart(place),
    ...(name === undefined ? {} : { object: { namespace: unpart(objectNamespace), name: unpart(name) } }),
  };
}

export function pathOf({ tenant, namespace, place, object }: Route): string {
  const base = `/${part(tenant)}/${part(namespace)}/${part(place)}`;
  return object ? `${base}/${part(object.namespace)}/${part(object.name)}` : base;
}
