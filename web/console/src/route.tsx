/**
 * The URL says what is shown: /TENANT/SELECTION/PLACE and, for one object, /NAMESPACE/NAME behind it. "-" stands for the
 * credential's own tenant, for all namespaces, and for the namespace of what has none.
 */
import { type MouseEvent, type ReactNode, useSyncExternalStore } from "react";

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

const listeners = new Set<() => void>();
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  addEventListener("popstate", listener);
  return () => {
    listeners.delete(listener);
    removeEventListener("popstate", listener);
  };
};

export function navigate(route: Route, replace = false): void {
  history[replace ? "replaceState" : "pushState"](null, "", pathOf(route));
  for (const listener of listeners) listener();
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => location.pathname));
}

interface LinkProps {
  to: Route;
  children: ReactNode;
  current?: boolean;
  className?: string;
  index?: number;
}

/** An ordinary link, which the browser may open in another tab; a plain click stays on the page. */
export function Link({ to, children, current, className, index }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a
      href={pathOf(to)}
      onClick={follow}
      className={className}
      data-index={index}
      aria-current={current ? "page" : undefined}
    >
      {children}
    </a>
  );
}
