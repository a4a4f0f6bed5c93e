/** What a container said when it ended (state.terminated.message). */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { type NodeContext, type NodePod, podLogDirectory } from "./context.ts";
import { MESSAGE_FILE, MESSAGE_POLICY, type ObservedContainer } from "./observe.ts";

const MESSAGE_BYTES_MAX = 4096;
const FALLBACK_BYTES_MAX = 2048;

/** What the container left at its terminationMessagePath, or the end of its log where that is asked for. */
export function terminationMessage(
  context: NodeContext,
  pod: NodePod,
  container: ObservedContainer,
): string | undefined {
  const file = container.annotations?.[MESSAGE_FILE];
  const said = file === undefined ? "" : tail(file, MESSAGE_BYTES_MAX);
  if (said !== "") return said;
  if ((container.exitCode ?? 0) !== 0 && container.annotations?.[MESSAGE_POLICY] === "FallbackToLogsOnError") {
    const log = tail(
      join(podLogDirectory(context.settings, pod), container.name, `${container.attempt}.log`),
      FALLBACK_BYTES_MAX * 2,
    );
    return logText(log).slice(-FALLBACK_BYTES_MAX);
  }
  return container.message || undefined;
}

/** What was written, out of a CRI log: "TIME STREAM F text" is a whole line, with P the line goes on in the next. */
export function logText(log: string): string {
  const parts = log.matchAll(/^\S+ (?:stdout|stderr) ([FP])\S* (.*)$/gm);
  return [...parts].map(([, kind, text]) => (kind === "F" ? `${text}\n` : text)).join("");
}

function tail(file: string, bytes: number): string {
  try {
    const { size } = statSync(file);
    if (size <= bytes) return readFileSync(file, "utf8");
    const descriptor = openSync(file, "r");
    const chunk = Buffer.alloc(bytes);
    readSync(descriptor, chunk, 0, bytes, size - bytes);
    closeSync(descriptor);
    return chunk.toString("utf8");
  } catch {
    return "";
  }
}
