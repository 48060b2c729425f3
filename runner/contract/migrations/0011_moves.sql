-- Moves: under which names a resource stood before, so that its history can be followed.

CREATE TABLE resource_move (
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  serial BIGINT NOT NULL,
  from_namespace TEXT NOT NULL,
  from_name TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  commit_sha TEXT,
  moved_at BIGINT NOT NULL,
  PRIMARY KEY (namespace, kind, name, serial)
);
