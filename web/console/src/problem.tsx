/** A failure said kindly: what happened, in the API server's words, and what to do next. */
import type { Failure } from "./api.ts";

interface Advice {
  title: string;
  next: string;
}

function adviceOf({ code, reason }: Failure, what: string): Advice {
  if (code === 401) return { title: "Your session has ended", next: "Sign in again." };
  if (code === 403) {
    return {
      title: `You may not see ${what}`,
      next: "Choose a namespace that you have access to, or ask an administrator for a role that allows get, list and watch here.",
    };
  }
  if (code === 404)
    return {
      title: `There is no such ${what}`,
      next: "It may have been deleted, or this server does not serve it. Go back to the list.",
    };
  if (code === 410 || code === 429) return { title: "The API server is busy", next: "Wait a moment and try again." };
  if (code === 503 || code === 504) {
    return {
      title: "The API server does not answer",
      next: "Is it running? On its machine: npx capstan status. Then try again.",
    };
  }
  if (reason === "BadRequest" || reason === "Invalid")
    return { title: "The API server refuses this", next: "Correct what the message names and try again." };
  return { title: `Cannot show ${what}`, next: "Try again; if it stays, the server's log says more." };
}

export function Problem({ failure, what, retry }: { failure: Failure; what: string; retry?: () => void }) {
  const { title, next } = adviceOf(failure, what);
  return (
    <section className="problem" role="alert">
      <h2>{title}</h2>
      <p>{next}</p>
      <p className="said">
        {failure.reason || "Error"} ({failure.code}): {failure.message}
      </p>
      {retry && failure.code !== 401 ? (
        <button type="button" onClick={retry}>
          Try again
        </button>
      ) : null}
    </section>
  );
}
