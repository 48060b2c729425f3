-- What changes while tasks are in flight: whose change waits, and who began and rests.

CREATE TABLE drain (
  source TEXT NOT NULL,
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  since_at BIGINT NOT NULL,
  until_at BIGINT NOT NULL,
  PRIMARY KEY (source, namespace, kind, name)
);
-- A task has no manifest set before its first start, so that few pending ones stand here.
CREATE INDEX task_resting ON task (manifest_set)
  WHERE state IN ('pending', 'unknown_outcome') AND manifest_set IS NOT NULL;
