import type { Tone } from "./wire.ts";

const words: Record<Tone, string> = {
  ok: "as wished",
  wait: "in progress",
  bad: "needs attention",
  off: "ended",
  none: "",
};

/** A state in words with a mark; never told by colour alone. */
export function State({ text, tone }: { text: string; tone: Tone }) {
  if (tone === "none") return <>{text}</>;
  return (
    <span className={`state ${tone}`} title={words[tone]}>
      <span className="mark" aria-hidden="true" />
      {text}
    </span>
  );
}
