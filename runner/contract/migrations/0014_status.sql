-- What was done and how it stands: history with plans, transitions, canaries.

CREATE TABLE history (
  id INTEGER NOT NULL PRIMARY KEY,
  source TEXT NOT NULL,
  owner TEXT NOT NULL,
  cause TEXT NOT NULL,
  actor TEXT NOT NULL,
  result TEXT NOT NULL,
  message TEXT NOT NULL,
  commit_sha TEXT,
  previous_commit TEXT,
  fast_forward BOOLEAN NOT NULL,
  plan_id TEXT NOT NULL,
  serial BIGINT NOT NULL,
  author TEXT NOT NULL,
  subject TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  unchanged INTEGER NOT NULL,
  provenance TEXT NOT NULL,
  detail TEXT NOT NULL,
  audit_seq BIGINT,
  duration_us BIGINT,
  recorded_at BIGINT NOT NULL
);
CREATE INDEX history_commit ON history (source, commit_sha);

CREATE TABLE revision_plan (
  id INTEGER NOT NULL PRIMARY KEY,
  history_id BIGINT NOT NULL,
  position INTEGER NOT NULL,
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  generation BIGINT NOT NULL,
  path TEXT NOT NULL,
  line INTEGER NOT NULL,
  spec_hash TEXT NOT NULL,
  fields TEXT NOT NULL,
  previous TEXT NOT NULL
);
CREATE INDEX revision_plan_history ON revision_plan (history_id, position);
CREATE INDEX revision_plan_key ON revision_plan (kind, name, namespace);

CREATE TABLE source_standing (
  name TEXT NOT NULL PRIMARY KEY,
  condition TEXT NOT NULL,
  reason TEXT NOT NULL,
  since_at BIGINT NOT NULL,
  retry_at BIGINT,
  failures INTEGER NOT NULL
);

CREATE TABLE canary (
  id INTEGER NOT NULL PRIMARY KEY,
  source TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  previous_commit TEXT,
  history_id BIGINT,
  state TEXT NOT NULL,
  tasks TEXT NOT NULL,
  held TEXT NOT NULL,
  message TEXT NOT NULL,
  closing BOOLEAN NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX canary_source ON canary (source, state);
