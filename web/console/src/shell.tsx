/** The frame around every page: where you are, who you are, where you can go. */
import { type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import { type Identity, socket } from "./api.ts";
import { Chooser } from "./chooser.tsx";
import { places, sections } from "./places.ts";
import { Link, navigate, type Route } from "./route.tsx";
import { useRows } from "./use-live.ts";

const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
const NAMESPACES = { group: "", version: "v1", resource: "namespaces" };

interface ShellProps {
  route: Route;
  identity: Identity;
  onSignOut(): void;
  children: ReactNode;
}

export function Shell({ route, identity, onSignOut, children }: ShellProps) {
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header>
        <span className="brand">
          <img src="/icon.svg" alt="" width={22} height={22} /> Capstan
        </span>
        <Choosers route={route} />
        <span className="user">
          <span title={identity.groups.join(", ")}>{identity.name}</span>
          <button type="button" onClick={onSignOut}>
            Sign out
          </button>
        </span>
      </header>
      <nav aria-label="Resources">
        {sections.map((section) => (
          <section key={section} aria-labelledby={`nav-${section}`}>
            <h2 id={`nav-${section}`}>{section}</h2>
            <ul>
              {places
                .filter((place) => place.section === section)
                .map((place) => (
                  <li key={place.id}>
                    <Link to={{ ...route, place: place.id, object: undefined }} current={place.id === route.place}>
                      {place.title}
                    </Link>
                  </li>
                ))}
            </ul>
          </section>
        ))}
      </nav>
      <main id="main" tabIndex={-1}>
        <Connection />
        {children}
      </main>
    </div>
  );
}

function namesOf(live: ReturnType<typeof useRows>): readonly string[] | undefined {
  if (live.failure) return undefined;
  return [...live.store.items.values()].map((row) => row.name);
}

function Choosers({ route }: { route: Route }) {
  const tenants = useRows({ tenant: "", resource: TENANTS });
  const namespaces = useRows({ tenant: route.tenant, resource: NAMESPACES });
  const go = (change: Partial<Route>) => navigate({ ...route, ...change, object: undefined });
  return (
    <span className="choosers">
      <Chooser
        label="Tenant"
        value={route.tenant}
        options={namesOf(tenants)}
        empty="your own"
        onChange={(tenant) => go({ tenant, namespace: "" })}
      />
      <Chooser
        label="Namespace"
        value={route.namespace}
        options={namesOf(namespaces)}
        empty="All namespaces"
        onChange={(namespace) => go({ namespace })}
      />
    </span>
  );
}

const PATIENCE_MS = 1000;

/** Says when what is shown may be old, and that it will go on by itself. */
function Connection() {
  const lost = useSyncExternalStore(
    (listener) => {
      const watching = socket.connectionState.subscribe({ next: listener });
      return () => watching.unsubscribe();
    },
    () => socket.connectionState.get().state === "connecting",
  );
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!lost) {
      setLate(false);
      return;
    }
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [lost]);
  return (
    <p className="banner" role="status" hidden={!late}>
      {late ? "The connection was lost. What you see may be old; it is being reconnected." : ""}
    </p>
  );
}
