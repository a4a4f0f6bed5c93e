/** A container's log in CRI's format: `TIME stdout|stderr F|P TEXT` a line (design: kubelet CRI logging). */
import { closeSync, fstatSync, openSync, statSync, writeSync } from "node:fs";

/** A longer line is written in parts, as containerd does. */
const LINE_BYTES_MAX = 16 * 1024;
/** A log that was moved away is left within this time. */
const LOOK_MS = 1_000;
const NEWLINE = 10;

export type LogStream = "stdout" | "stderr";

export interface LogFile {
  write(stream: LogStream, bytes: Uint8Array): void;
  /** What waits for its line's end is written as it is. */
  end(): void;
}

/** Who writes cannot wait for anything: the guest is on the same thread. */
export function openLog(path: string): LogFile {
  let file = openSync(path, "a", 0o640);
  let lookedAt = Date.now();
  const rests: Record<LogStream, Buffer> = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };

  const follow = () => {
    const now = Date.now();
    if (now - lookedAt < LOOK_MS) return;
    lookedAt = now;
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.ino === fstatSync(file).ino) return;
    closeSync(file);
    file = openSync(path, "a", 0o640);
  };
  const line = (stream: LogStream, tag: "F" | "P", text: Uint8Array) =>
    Buffer.concat([Buffer.from(`${new Date().toISOString()} ${stream} ${tag} `), text, Buffer.from("\n")]);

  return {
    write(stream, bytes) {
      let rest = Buffer.concat([rests[stream], bytes]);
      const lines: Buffer[] = [];
      for (;;) {
        const end = rest.indexOf(NEWLINE);
        if (end >= 0 && end <= LINE_BYTES_MAX) {
          lines.push(line(stream, "F", rest.subarray(0, end)));
          rest = rest.subarray(end + 1);
        } else if (rest.length > LINE_BYTES_MAX) {
          lines.push(line(stream, "P", rest.subarray(0, LINE_BYTES_MAX)));
          rest = rest.subarray(LINE_BYTES_MAX);
        } else break;
      }
      rests[stream] = rest;
      if (lines.length === 0) return;
      follow();
      writeSync(file, Buffer.concat(lines));
    },
    end() {
      for (const stream of ["stdout", "stderr"] as const)
        if (rests[stream].length > 0) writeSync(file, line(stream, "F", rests[stream]));
      closeSync(file);
    },
  };
}
