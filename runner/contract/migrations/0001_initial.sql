-- The spine: recorded state, tasks with leases and a journal, the audit log.

CREATE TABLE source (
  name TEXT NOT NULL PRIMARY KEY,
  url TEXT NOT NULL,
  ref TEXT NOT NULL,
  path TEXT NOT NULL,
  settings_digest TEXT NOT NULL,
  applied_commit TEXT,
  applied_tree TEXT,
  attempted_commit TEXT,
  condition TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  problems TEXT NOT NULL,
  checked_at BIGINT,
  applied_at BIGINT
);

CREATE TABLE state (
  id INTEGER NOT NULL PRIMARY KEY,
  serial BIGINT NOT NULL
);
INSERT INTO state (id, serial) VALUES (1, 0);

CREATE TABLE resource (
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  commit_sha TEXT,
  path TEXT NOT NULL,
  line INTEGER NOT NULL,
  blob TEXT,
  spec_hash TEXT NOT NULL,
  body TEXT NOT NULL,
  lines TEXT NOT NULL,
  generation BIGINT NOT NULL,
  applied_at BIGINT NOT NULL,
  PRIMARY KEY (namespace, kind, name)
);
CREATE INDEX resource_path ON resource (owner, path);

CREATE TABLE reference (
  from_namespace TEXT NOT NULL,
  from_kind TEXT NOT NULL,
  from_name TEXT NOT NULL,
  to_namespace TEXT NOT NULL,
  to_kind TEXT NOT NULL,
  to_name TEXT NOT NULL,
  line INTEGER NOT NULL,
  required BOOLEAN NOT NULL,
  PRIMARY KEY (from_namespace, from_kind, from_name, to_namespace, to_kind, to_name)
);
CREATE INDEX reference_to ON reference (to_namespace, to_kind, to_name);

CREATE TABLE revision (
  id INTEGER NOT NULL PRIMARY KEY,
  source TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  previous_commit TEXT,
  fast_forward BOOLEAN NOT NULL,
  plan_id TEXT NOT NULL,
  serial BIGINT NOT NULL,
  author TEXT NOT NULL,
  committer TEXT NOT NULL,
  subject TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  applied_at BIGINT NOT NULL
);

CREATE TABLE blob_cache (
  blob TEXT NOT NULL,
  parser_version TEXT NOT NULL,
  documents TEXT NOT NULL,
  PRIMARY KEY (blob, parser_version)
);

CREATE TABLE sealed_secret (
  digest TEXT NOT NULL PRIMARY KEY,
  ciphertext TEXT NOT NULL
);

CREATE TABLE manifest_set (
  digest TEXT NOT NULL PRIMARY KEY,
  content TEXT NOT NULL
);

CREATE TABLE task (
  id TEXT NOT NULL PRIMARY KEY,
  namespace TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_name TEXT NOT NULL,
  task_name TEXT,
  input TEXT NOT NULL,
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  run_at BIGINT NOT NULL,
  fence BIGINT NOT NULL,
  attempt INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  retry TEXT NOT NULL,
  holder TEXT,
  lease_boot TEXT,
  lease_until BIGINT,
  commit_sha TEXT,
  manifest_set TEXT,
  output TEXT,
  error TEXT,
  actor TEXT NOT NULL,
  tokens_in BIGINT NOT NULL,
  tokens_out BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finished_at BIGINT
);
CREATE INDEX task_ready ON task (priority, id) WHERE state = 'pending';
CREATE INDEX task_scheduled ON task (run_at) WHERE state = 'backing_off';
CREATE INDEX task_leased ON task (holder) WHERE state = 'leased';

CREATE TABLE attempt (
  task_id TEXT NOT NULL,
  fence BIGINT NOT NULL,
  worker TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  outcome TEXT,
  error TEXT,
  PRIMARY KEY (task_id, fence)
);

CREATE TABLE step (
  task_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  request TEXT NOT NULL,
  phase TEXT NOT NULL,
  result TEXT,
  fence BIGINT NOT NULL,
  tokens_in BIGINT NOT NULL,
  tokens_out BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (task_id, number)
);

CREATE TABLE worker (
  id TEXT NOT NULL PRIMARY KEY,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  state TEXT NOT NULL,
  slots INTEGER NOT NULL,
  started_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
);

CREATE TABLE audit_entry (
  seq BIGINT NOT NULL PRIMARY KEY,
  raw BLOB NOT NULL,
  leaf BLOB NOT NULL,
  chain BLOB NOT NULL,
  time BIGINT NOT NULL,
  type TEXT NOT NULL,
  task TEXT,
  agent TEXT,
  tool TEXT,
  decision TEXT
);
CREATE INDEX audit_entry_task ON audit_entry (task);

CREATE TABLE disclosure (
  seq BIGINT NOT NULL,
  field TEXT NOT NULL,
  salt BLOB NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (seq, field)
);
