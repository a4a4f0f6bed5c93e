/** How many rows to ask for at once: many small ones, few big ones, so that a page's documents stay within some megabytes (S11). */
const ROWS_MIN = 10;
const ROWS_MAX = 2_000;
const ROWS_FIRST = 200;
const BYTES = 8 * 1024 * 1024;

export class PageSize {
  rows = ROWS_FIRST;

  /** Learns from the page just read; grows fivefold at most. */
  read(rows: readonly { document: string }[]): void {
    if (rows.length === 0) return;
    const bytes = rows.reduce((sum, row) => sum + row.document.length, 0);
    const fitting = Math.floor(BYTES / Math.max(1, bytes / rows.length));
    this.rows = Math.max(ROWS_MIN, Math.min(fitting, this.rows * 5, ROWS_MAX));
  }
}
