-- What the first row of a batch carries when it was committed by one statement: by it a commit whose answer was lost is found again.
ALTER TABLE "change" ADD COLUMN "mark" BIGINT;
