-- A row of up to half a page is kept as it is: compressing a pod's document, once here and once in the log (partitions.ts), was half of what a
-- write cost the database. Longer ones are compressed.
ALTER TABLE "object" SET (toast_tuple_target = 4080);
