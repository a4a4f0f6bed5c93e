/** Where audit events go: lines of JSON in files of bounded size and number, and a webhook in batches. */
import { createWriteStream, existsSync, openSync, renameSync, rmSync, statSync, type WriteStream } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { AuditEvent, AuditSink } from "./audit.ts";

const FILE_BYTES_MAX = 100 << 20;
const FILES_MAX = 10;
/** Events that wait for a slow disk or webhook; more are dropped and told of. */
const WAITING_BYTES_MAX = 32 << 20;

/** `path`, then path.1 (the newest of the old) to path.9. */
export function fileSink(path: string, log: Log, fileBytes = FILE_BYTES_MAX): AuditSink {
  let stream: WriteStream;
  let written = 0;
  const open = (): void => {
    written = existsSync(path) ? statSync(path).size : 0;
    // Opened at once: the file may have to be renamed before its first line is written.
    stream = createWriteStream(path, { fd: openSync(path, "a", 0o600) });
    stream.on("error", (error) => log.error("audit events cannot be written", { path, error: messageOf(error) }));
  };
  const rotate = (): void => {
    stream.end();
    rmSync(`${path}.${FILES_MAX - 1}`, { force: true });
    for (let i = FILES_MAX - 2; i >= 0; i--) {
      const from = i === 0 ? path : `${path}.${i}`;
      if (existsSync(from)) renameSync(from, `${path}.${i + 1}`);
    }
    open();
  };
  let lost = 0;
  open();
  return {
    name: "log",
    get lost() {
      return lost;
    },
    write(event) {
      if (stream.writableLength > WAITING_BYTES_MAX) {
        if (lost++ % 1000 === 0) log.error("audit events are dropped: the disk is too slow", { path, lost });
        return;
      }
      const line = `${JSON.stringify(event)}\n`;
      if (written > 0 && written + line.length > fileBytes) rotate();
      written += line.length;
      stream.write(line);
    },
    close: () => new Promise((resolve) => stream.end(() => stream.close(() => resolve()))),
  };
}

const BATCH_EVENTS = 400;
const BATCH_MS = 5_000;
const WAITING_EVENTS_MAX = 10_000;
const ATTEMPTS = 4;
const BACKOFF_MS = 2_000;

/** PEM texts; the events are posted as audit.k8s.io/v1 EventList. */
export interface AuditWebhook {
  url: string;
  ca?: string;
  cert?: string;
  key?: string;
  token?: string;
}

function post(to: AuditWebhook, body: string): Promise<void> {
  const { url, ca, cert, key, token } = to;
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    };
    const send = url.startsWith("http:") ? httpRequest : httpsRequest;
    const sent = send(url, {
      method: "POST",
      headers,
      timeout: 30_000,
      ...(ca ? { ca } : {}),
      ...(cert ? { cert, key } : {}),
    });
    sent.on("response", (answer) => {
      answer.resume();
      const { statusCode = 0 } = answer;
      if (statusCode >= 200 && statusCode < 300) resolve();
      else reject(new Error(`the webhook answered ${statusCode}`));
    });
    sent.on("timeout", () => sent.destroy(new Error("the webhook did not answer in time")));
    sent.on("error", reject);
    sent.end(body);
  });
}

export interface BatchOptions {
  batchEvents: number;
  batchMs: number;
  waitingEvents: number;
  attempts: number;
  backoffMs: number;
}
const BATCH: BatchOptions = {
  batchEvents: BATCH_EVENTS,
  batchMs: BATCH_MS,
  waitingEvents: WAITING_EVENTS_MAX,
  attempts: ATTEMPTS,
  backoffMs: BACKOFF_MS,
};

/** Batches, one after the other; what does not fit into the buffer, or cannot be delivered in so many attempts, is lost and counted. */
export function webhookSink(to: AuditWebhook, log: Log, o: BatchOptions = BATCH): AuditSink {
  const waiting: AuditEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let sending = Promise.resolve();
  let lost = 0;
  const lose = (events: number, error: string): void => {
    if (lost === 0 || events > 1)
      log.error("audit events are lost: the webhook is too slow or fails", { events, error });
    lost += events;
  };
  const deliver = async (items: AuditEvent[]): Promise<void> => {
    const body = JSON.stringify({ kind: "EventList", apiVersion: "audit.k8s.io/v1", metadata: {}, items });
    for (let attempt = 1; ; attempt++) {
      try {
        return await post(to, body);
      } catch (error) {
        if (attempt >= o.attempts) return lose(items.length, messageOf(error));
        await new Promise((resolve) => setTimeout(resolve, o.backoffMs * attempt));
      }
    }
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    sending = sending.then(async () => {
      while (waiting.length > 0) await deliver(waiting.splice(0, o.batchEvents));
    });
  };
  return {
    name: "webhook",
    get lost() {
      return lost;
    },
    write(event) {
      if (waiting.length >= o.waitingEvents) return lose(1, "the buffer is full");
      waiting.push(event);
      if (waiting.length >= o.batchEvents) flush();
      else timer ??= setTimeout(flush, o.batchMs);
    },
    async close() {
      flush();
      await sending;
    },
  };
}
