-- The object store. Keys compare by bytes (COLLATE "C"), so that an order is the same in every database and in the cache.

-- One row. Every write of objects or tenants updates it in its own transaction, so commit order is revision order (S1).
CREATE TABLE "counter" (
  "id" SMALLINT NOT NULL DEFAULT 1,
  "revision" BIGINT NOT NULL,
  -- Rises when the database lost its last moment (S12); what readers hold from an older epoch may never have been.
  "epoch" BIGINT NOT NULL,
  CONSTRAINT "counter_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "counter_one_row" CHECK ("id" = 1)
) WITH (fillfactor = 10);
INSERT INTO "counter" ("revision", "epoch") VALUES (1, 1);

-- S12: a crash, a promotion or a base backup empties an unlogged table; the counter then jumps ahead.
CREATE UNLOGGED TABLE "crash_marker" (
  "id" SMALLINT NOT NULL,
  CONSTRAINT "crash_marker_pkey" PRIMARY KEY ("id")
);
INSERT INTO "crash_marker" ("id") VALUES (1);

-- One row: changes up to this revision are gone from the log (S5).
CREATE TABLE "compaction" (
  "id" SMALLINT NOT NULL DEFAULT 1,
  "revision" BIGINT NOT NULL,
  CONSTRAINT "compaction_pkey" PRIMARY KEY ("id"),
  CONSTRAINT "compaction_one_row" CHECK ("id" = 1)
);
INSERT INTO "compaction" ("revision") VALUES (0);

-- Rows are never deleted: a number is never used again. A removed tenant's name is free for another.
CREATE TABLE "tenant" (
  "id" BIGINT GENERATED ALWAYS AS IDENTITY,
  "name" TEXT COLLATE "C" NOT NULL,
  "revision" BIGINT NOT NULL,
  "removed" BOOLEAN NOT NULL DEFAULT false,
  CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "tenant_living_name" ON "tenant" ("name") WHERE NOT "removed";
CREATE INDEX "tenant_revision" ON "tenant" ("revision");
INSERT INTO "tenant" ("name", "revision") VALUES ('root', 1);

-- The current state. No index on a column that every write changes, and room in the page: updates stay heap-only.
CREATE TABLE "object" (
  "tenant" BIGINT NOT NULL,
  "resource" TEXT COLLATE "C" NOT NULL,
  "namespace" TEXT COLLATE "C" NOT NULL,
  "name" TEXT COLLATE "C" NOT NULL,
  "uid" TEXT COLLATE "C" NOT NULL,
  "revision" BIGINT NOT NULL,
  "document" TEXT NOT NULL,
  "labels" JSONB NOT NULL,
  "fields" JSONB NOT NULL,
  "terminating" BOOLEAN NOT NULL,
  CONSTRAINT "object_pkey" PRIMARY KEY ("tenant", "resource", "namespace", "name")
) WITH (fillfactor = 80);

-- The log: append-only, one partition per range of revisions, dropped whole by compaction.
-- kind: 0 added, 1 modified, 2 deleted. labels_before and fields_before: what selectors saw before; null for added.
CREATE TABLE "change" (
  "revision" BIGINT NOT NULL,
  "kind" SMALLINT NOT NULL,
  "tenant" BIGINT NOT NULL,
  "resource" TEXT COLLATE "C" NOT NULL,
  "namespace" TEXT COLLATE "C" NOT NULL,
  "name" TEXT COLLATE "C" NOT NULL,
  "uid" TEXT COLLATE "C" NOT NULL,
  "document" TEXT NOT NULL,
  "labels" JSONB NOT NULL,
  "fields" JSONB NOT NULL,
  "labels_before" JSONB,
  "fields_before" JSONB,
  CONSTRAINT "change_pkey" PRIMARY KEY ("revision")
) PARTITION BY RANGE ("revision");

-- Amounts that must stay within a limit: a row per ledger and resource, "limit" null where there is none (S3).
CREATE TABLE "ledger" (
  "tenant" BIGINT NOT NULL,
  "ledger" TEXT COLLATE "C" NOT NULL,
  "resource" TEXT COLLATE "C" NOT NULL,
  "used" BIGINT NOT NULL,
  "limit" BIGINT,
  CONSTRAINT "ledger_pkey" PRIMARY KEY ("tenant", "ledger", "resource")
) WITH (fillfactor = 50);

-- lz4 where this PostgreSQL was built with it (the embedded one may not be); its own compression otherwise.
DO $$
BEGIN
  ALTER TABLE "object" ALTER COLUMN "document" SET COMPRESSION lz4;
  ALTER TABLE "change" ALTER COLUMN "document" SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  RAISE NOTICE 'this PostgreSQL has no lz4; documents are compressed by pglz';
END
$$;

-- The database's last word in the committer's statement: anything but the rows that were decided upon aborts the transaction.
CREATE FUNCTION "expect_rows"(actual BIGINT, expected BIGINT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
  IF actual <> expected THEN
    RAISE EXCEPTION 'expected % rows, found %', expected, actual USING ERRCODE = 'CA001';
  END IF;
END
$$;
