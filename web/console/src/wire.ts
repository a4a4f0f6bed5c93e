/** The server's types that travel to the browser; only types, so nothing of the server is in the bundle. */

export type { LogLine, LogMessage } from "../../server/logs/follow.ts";
export type { LiveChange, LiveMessage } from "../../server/resources/live.ts";
export type { Column, Row, Tone } from "../../server/resources/views.ts";

/** Any API object, as the pages read it. */
export interface ApiObject {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name?: string;
    namespace?: string;
    uid?: string;
    creationTimestamp?: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: { kind: string; name: string }[];
  };
  [field: string]: unknown;
}
