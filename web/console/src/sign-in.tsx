import { type FormEvent, useId, useState } from "react";
import { api, type Failure, failureOf, type Identity } from "./api.ts";
import { Problem } from "./problem.tsx";
import { Progress } from "./progress.tsx";

type How = "kubeconfig" | "token";

export function SignIn({ onSignedIn, ended }: { onSignedIn(identity: Identity): void; ended: boolean }) {
  const [how, setHow] = useState<How>("kubeconfig");
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure>();
  const id = useId();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      onSignedIn(await api.session.signIn.mutate(how === "token" ? { token: text } : { kubeconfig: text }));
    } catch (error) {
      setFailure(failureOf(error));
    } finally {
      setBusy(false);
    }
  };
  const choose = (next: How) => {
    setHow(next);
    setText("");
    setFailure(undefined);
  };
  const readFile = async (file: File | undefined) => {
    if (file) setText(await file.text());
  };

  return (
    <main className="sign-in" id="main">
      <h1>Capstan</h1>
      {ended ? <p role="status">Your session has ended. Sign in again.</p> : null}
      <form onSubmit={submit}>
        <fieldset>
          <legend>Sign in with</legend>
          {(["kubeconfig", "token"] as const).map((each) => (
            <label key={each} className="choice">
              <input type="radio" name="how" value={each} checked={how === each} onChange={() => choose(each)} />
              {each === "kubeconfig" ? "a kubeconfig" : "a bearer token"}
            </label>
          ))}
        </fieldset>
        {how === "kubeconfig" ? (
          <>
            <label htmlFor={`${id}file`}>Kubeconfig file</label>
            <input
              id={`${id}file`}
              type="file"
              onChange={(event) => void readFile(event.target.files?.[0])}
              aria-describedby={`${id}help`}
            />
            <label htmlFor={`${id}text`}>or paste it</label>
            <textarea
              id={`${id}text`}
              value={text}
              onChange={(event) => setText(event.target.value)}
              rows={8}
              required
              spellCheck={false}
              autoComplete="off"
            />
            <p id={`${id}help`} className="help">
              The administrator's is <code>.capstan/kubeconfig</code> in the folder where <code>npm run up</code> ran.
              The current context's client certificate or token is used, for this session only.
            </p>
          </>
        ) : (
          <>
            <label htmlFor={`${id}token`}>Token</label>
            <input
              id={`${id}token`}
              type="password"
              value={text}
              onChange={(event) => setText(event.target.value)}
              required
              autoComplete="off"
              aria-describedby={`${id}help`}
            />
            <p id={`${id}help`} className="help">
              A service account's: <code>kubectl create token NAME -n NAMESPACE</code>
            </p>
          </>
        )}
        <button type="submit" className="primary" disabled={busy}>
          Sign in
        </button>
        {busy ? <Progress text="Asking the API server who you are" /> : null}
      </form>
      {failure ? <Problem failure={failure.code === 401 ? { ...failure, code: 400 } : failure} what="this" /> : null}
    </main>
  );
}
