-- Drift: what stands at odds with what was applied, what the world was like at first sight,
-- and a way through the log to what was applied last.

CREATE TABLE drift (
  source TEXT NOT NULL,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  sentence TEXT NOT NULL,
  found TEXT NOT NULL,
  since BIGINT NOT NULL,
  PRIMARY KEY (source, subject, kind)
);

CREATE TABLE observation (
  host TEXT NOT NULL,
  subject TEXT NOT NULL,
  aspect TEXT NOT NULL,
  value TEXT NOT NULL,
  found TEXT NOT NULL,
  first_seen BIGINT NOT NULL,
  changed_at BIGINT,
  PRIMARY KEY (host, subject, aspect)
);

CREATE INDEX audit_entry_applied ON audit_entry (seq) WHERE type IN ('resource.created', 'resource.updated', 'resource.deleted', 'resource.moved', 'manifest.applied', 'manifest.reverted', 'drift.healed');
