/**
 * What this process itself committed lately: the tail reads the log in its order, and needs of these rows neither documents nor labels.
 * A revision that was committed here is nobody else's: one that was rolled back was never noted, and after a crash numbers jump (S12).
 */
import type { NewDocument, Revision } from "../port.ts";
import { bigints } from "./arrays.ts";
import type { Accepted } from "./decide.ts";

/** S11: what the tail has not reached by then is read from the log. */
const COMMITS_MAX = 16;
const BYTES_MAX = 4 * 1024 * 1024;

interface Commit {
  first: Revision;
  last: Revision;
  bytes: number;
  accepted: readonly Accepted[];
}

export class OwnCommits {
  #commits: Commit[] = [];
  #bytes = 0;

  /** The revisions of one transaction follow each other. */
  add(accepted: readonly Accepted[]): void {
    const [first, last] = [accepted[0]?.revision, accepted.at(-1)?.revision];
    if (first === undefined || last === undefined) return;
    const bytes = accepted.reduce((sum, { operation }) => sum + operation.object.document.length, 0);
    this.#commits.push({ first, last, bytes, accepted });
    this.#bytes += bytes;
    while (this.#commits.length > COMMITS_MAX || this.#bytes > BYTES_MAX) this.#drop();
  }

  #drop(): void {
    this.#bytes -= this.#commits.shift()?.bytes ?? 0;
  }

  /** A copy that stays as it is while a statement is under way: the ranges as two arrays of parameters, and what is in them. */
  view(): { ranges: [Buffer, Buffer]; find(revision: Revision): NewDocument | undefined } {
    const commits = [...this.#commits];
    return {
      ranges: [bigints(commits.map(({ first }) => first)), bigints(commits.map(({ last }) => last))],
      find(revision) {
        const commit = commits.find(({ first, last }) => first <= revision && revision <= last);
        return commit?.accepted[revision - commit.first]?.operation.object;
      },
    };
  }

  /** All of them up to here have been read. */
  read(upTo: Revision): void {
    while (this.#commits[0] && this.#commits[0].last <= upTo) this.#drop();
  }

  clear(): void {
    this.#commits = [];
    this.#bytes = 0;
  }
}
