-- Limits: what is set aside for calls and what they used, who waits for room in which order,
-- and the newest moment of any of it, behind which the clock of the limits never goes.

CREATE TABLE reservation (
  number INTEGER NOT NULL PRIMARY KEY,
  task_id TEXT NOT NULL,
  fence BIGINT NOT NULL,
  step INTEGER NOT NULL,
  agent TEXT NOT NULL,
  dimension TEXT NOT NULL,
  scope TEXT NOT NULL,
  amount BIGINT NOT NULL,
  bound BIGINT NOT NULL,
  reserved_at BIGINT NOT NULL,
  settled_at BIGINT
);
CREATE INDEX reservation_scope ON reservation (dimension, scope, settled_at, amount);
CREATE INDEX reservation_open ON reservation (task_id) WHERE settled_at IS NULL;

CREATE TABLE limit_wait (
  task_id TEXT NOT NULL PRIMARY KEY,
  dimension TEXT NOT NULL,
  scope TEXT NOT NULL,
  amount BIGINT NOT NULL,
  bound BIGINT NOT NULL,
  since_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL
);
CREATE INDEX limit_wait_scope ON limit_wait (dimension, scope, since_at, task_id);

CREATE TABLE limit_clock (
  id INTEGER NOT NULL PRIMARY KEY,
  newest_at BIGINT NOT NULL
);
