/** Says what is being waited for, once it takes longer than a moment. */
import { useEffect, useState } from "react";

const PATIENCE_MS = 400;

export function Progress({ text, done, total }: { text: string; done?: number; total?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  if (!late) return null;
  const count = total && done !== undefined ? ` ${done.toLocaleString()} of ${total.toLocaleString()}` : "";
  return (
    <p className="progress" role="status">
      <progress value={total ? done : undefined} max={total} aria-label={text} /> {text}
      {count}
    </p>
  );
}
