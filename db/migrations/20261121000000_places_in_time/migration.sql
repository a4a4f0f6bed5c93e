-- Where the present epoch begins: a place before it may never have been, so no history is read back from beyond it (S12).
ALTER TABLE "counter" ADD COLUMN "epoch_revision" BIGINT NOT NULL DEFAULT 0;
UPDATE "counter" SET "epoch_revision" = "revision";

-- Where the log was, and when: about one row in half a minute. What ages (the log, Events) is measured by it, whoever restarts.
CREATE TABLE "moment" (
  "at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "revision" BIGINT NOT NULL,
  CONSTRAINT "moment_pkey" PRIMARY KEY ("at")
);

-- S12: a dump holds an unlogged table's rows, so a row alone would not tell a restored database from its original. The row
-- names the cluster and the file it was written in: a crash empties the table, a restore makes another file.
CREATE FUNCTION "store_identity"() RETURNS TEXT LANGUAGE sql STABLE AS $$
  SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || pg_relation_filenode('crash_marker')::text
$$;
DROP TABLE "crash_marker";
CREATE UNLOGGED TABLE "crash_marker" (
  "identity" TEXT COLLATE "C" NOT NULL,
  CONSTRAINT "crash_marker_pkey" PRIMARY KEY ("identity")
);
INSERT INTO "crash_marker" ("identity") VALUES ("store_identity"());
