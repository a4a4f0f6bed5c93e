import { useEffect, useRef, useState } from "react";
import { api, type Failure, failureOf, type Identity, socket, whenLost } from "./api.ts";
import { ListPage } from "./list-page.tsx";
import { ObjectPage } from "./object-page.tsx";
import { placeOf } from "./places.ts";
import { Problem } from "./problem.tsx";
import { Progress } from "./progress.tsx";
import { navigate, pathOf, useRoute } from "./route.tsx";
import { Shell } from "./shell.tsx";
import { SignIn } from "./sign-in.tsx";

type Session =
  | { state: "asking" }
  | { state: "failed"; failure: Failure }
  | { state: "out"; ended: boolean }
  | { state: "in"; identity: Identity };

export function App() {
  const [session, setSession] = useState<Session>({ state: "asking" });

  const ask = async (wasIn: boolean) => {
    try {
      const identity = await api.session.current.query();
      setSession(identity ? { state: "in", identity } : { state: "out", ended: wasIn });
    } catch (error) {
      // While signed in, an unreachable server is said by the connection's banner.
      if (!wasIn) setSession({ state: "failed", failure: failureOf(error) });
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once
  useEffect(() => void ask(false), []);
  useEffect(() => {
    whenLost(() => {
      if (session.state === "in") void ask(true);
    });
  });

  const signOut = async () => {
    await api.session.signOut.mutate().catch(() => undefined);
    setSession({ state: "out", ended: false });
    socket.close();
    location.assign("/");
  };
  switch (session.state) {
    case "asking":
      return <Progress text="Loading" />;
    case "failed":
      return <Problem failure={session.failure} what="the console" retry={() => void ask(false)} />;
    case "out":
      return <SignIn ended={session.ended} onSignedIn={(identity) => setSession({ state: "in", identity })} />;
    case "in":
      return <Pages identity={session.identity} onSignOut={() => void signOut()} />;
  }
}

const START = "deployments";

function Pages({ identity, onSignOut }: { identity: Identity; onSignOut(): void }) {
  const route = useRoute();
  const place = placeOf(route.place);
  const path = pathOf(route);
  const first = useRef(true);
  useEffect(() => {
    if (!place) navigate({ tenant: identity.tenant, namespace: identity.namespace, place: START }, true);
  }, [place, identity]);
  const name = route.object?.name;
  useEffect(() => {
    document.title = `${name ?? place?.title ?? "Console"} – Capstan`;
  }, [name, place]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page takes the focus, as a loaded one would
  useEffect(() => {
    if (!first.current) document.getElementById("main")?.focus();
    first.current = false;
  }, [path]);
  return (
    <Shell route={route} identity={identity} onSignOut={onSignOut}>
      {place === undefined ? null : route.object ? (
        <ObjectPage key={path} place={place} route={route} object={route.object} />
      ) : (
        <ListPage key={path} place={place} route={route} />
      )}
    </Shell>
  );
}
