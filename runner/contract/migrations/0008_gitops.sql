-- Many repositories: what people ask of each, what they let pass, and what happened.

CREATE TABLE source_control (
  name TEXT NOT NULL PRIMARY KEY,
  suspended_at BIGINT,
  suspended_by TEXT,
  suspended_reason TEXT,
  request_token TEXT,
  requested_by TEXT,
  handled_token TEXT
);

CREATE TABLE source_override (
  source TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  given_at BIGINT NOT NULL,
  PRIMARY KEY (source, commit_sha, kind, subject)
);

CREATE TABLE event (
  id INTEGER NOT NULL PRIMARY KEY,
  source TEXT NOT NULL,
  severity TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  commit_sha TEXT,
  resource TEXT,
  count BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL
);
CREATE INDEX event_source ON event (source, id);
