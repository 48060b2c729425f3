-- The audit log as a Merkle tree: checkpoints take the place of the chain.

CREATE TABLE audit_log (
  id INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL
);

CREATE TABLE checkpoint (
  size BIGINT NOT NULL PRIMARY KEY,
  note TEXT NOT NULL,
  signed_at BIGINT NOT NULL,
  published_at BIGINT
);

CREATE TABLE audit_subtree (
  number BIGINT NOT NULL PRIMARY KEY,
  root BLOB NOT NULL
);

CREATE TABLE audit_key (
  number INTEGER NOT NULL PRIMARY KEY,
  vkey TEXT NOT NULL,
  note TEXT NOT NULL,
  signed_at BIGINT NOT NULL
);

ALTER TABLE audit_entry DROP COLUMN chain;
ALTER TABLE audit_entry ADD COLUMN task_seq BIGINT;
DROP INDEX audit_entry_task;
CREATE INDEX audit_entry_task ON audit_entry (task, task_seq);
