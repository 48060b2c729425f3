-- Runs of evaluations, and the answers to their questions.

CREATE TABLE eval_run (
  id INTEGER NOT NULL PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  actor TEXT NOT NULL,
  spec TEXT NOT NULL,
  dataset TEXT NOT NULL,
  state TEXT NOT NULL,
  message TEXT NOT NULL,
  closing BOOLEAN NOT NULL,
  created_at BIGINT NOT NULL,
  finished_at BIGINT
);
CREATE INDEX eval_run_named ON eval_run (namespace, name, id);
CREATE INDEX eval_run_open ON eval_run (id) WHERE state IN ('pending', 'running', 'review') OR closing;

CREATE TABLE eval_result (
  run_id BIGINT NOT NULL,
  sample TEXT NOT NULL,
  repetition INTEGER NOT NULL,
  state TEXT NOT NULL,
  manifest_set TEXT NOT NULL,
  judge_set TEXT,
  task_id TEXT,
  judge_task TEXT,
  passed BOOLEAN,
  score INTEGER,
  reason TEXT NOT NULL,
  scorer TEXT NOT NULL,
  tokens BIGINT NOT NULL,
  judge_tokens BIGINT NOT NULL,
  duration_us BIGINT,
  PRIMARY KEY (run_id, sample, repetition)
);
