import { useEffect, useState } from "react";
import type { ApiObject } from "./wire.ts";

/** The whole object as YAML; the writer is loaded when it is first opened. */
export function Manifest({ object }: { object: ApiObject }) {
  const [open, setOpen] = useState(false);
  const [yaml, setYaml] = useState("");
  useEffect(() => {
    if (!open) return;
    let current = true;
    void import("yaml").then(({ stringify }) => {
      if (current) setYaml(stringify(object));
    });
    return () => {
      current = false;
    };
  }, [open, object]);
  return (
    <details className="manifest" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2>Manifest</h2>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <pre tabIndex={0}>{yaml}</pre>
    </details>
  );
}
