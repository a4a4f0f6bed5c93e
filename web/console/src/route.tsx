/** Going from page to page by the URL, which says what is shown (path.ts). */
import { type MouseEvent, type ReactNode, useSyncExternalStore } from "react";
import { parseRoute, pathOf, type Route } from "./path.ts";

export { pathOf, type Route };

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
