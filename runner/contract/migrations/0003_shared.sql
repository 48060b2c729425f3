-- Ready for a database that many hosts share: a lease names the host it was given to, the
-- cache of blobs counts its rows itself, and dead letters are found without reading tasks.

ALTER TABLE task RENAME COLUMN lease_boot TO lease_host;
CREATE INDEX task_dead ON task (id) WHERE state IN ('failed', 'dead');

DROP TABLE blob_cache;
CREATE TABLE blob_cache (
  number INTEGER NOT NULL PRIMARY KEY,
  blob TEXT NOT NULL,
  parser_version TEXT NOT NULL,
  documents TEXT NOT NULL
);
CREATE UNIQUE INDEX blob_cache_key ON blob_cache (blob, parser_version);
