-- Graphs: the visits that a task makes to the agents of its system, the steps of each, and
-- what bounds them (max_turns and message_retry of the task).

ALTER TABLE task ADD COLUMN flow TEXT NOT NULL DEFAULT '{}';
ALTER TABLE step ADD COLUMN visit INTEGER NOT NULL DEFAULT 0;
CREATE TABLE visit (
  task_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  agent TEXT NOT NULL,
  sources TEXT NOT NULL,
  depth INTEGER NOT NULL,
  phase TEXT NOT NULL,
  delegator INTEGER,
  missing TEXT NOT NULL,
  state TEXT NOT NULL,
  error TEXT,
  attempt INTEGER NOT NULL,
  step INTEGER,
  fence BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (task_id, number)
);
