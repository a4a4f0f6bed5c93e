/** What the database says happened. */
import type { Cluster } from "../support/cluster.ts";
import type { Fact } from "./record.ts";

const TYPES = ["added", "modified", "deleted"] as const;

/** The log, kept before each compaction. */
export class Archive {
  readonly facts: Fact[] = [];
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async take(): Promise<void> {
    const rows = await this.#cluster.sql<{
      revision: string;
      kind: number;
      name: string;
      uid: string;
      op: string | null;
    }>(
      `SELECT revision, kind, name, uid, document::json -> 'data' ->> 'op' AS op FROM change
        WHERE resource = 'configmaps' AND name LIKE 'key-%' AND revision > $1 ORDER BY revision`,
      [this.facts.at(-1)?.revision ?? 0],
    );
    for (const { revision, kind, name, uid, op } of rows)
      this.facts.push({ revision: Number(revision), type: TYPES[kind] ?? "added", name, uid, op: op ?? "" });
  }
}
