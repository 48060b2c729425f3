-- Names out of the log's entries; what was erased, is held, or stands in an archive.

CREATE TABLE person (
  pseudonym TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  salt BLOB NOT NULL,
  since BIGINT NOT NULL
);
CREATE UNIQUE INDEX person_name ON person (name);

CREATE TABLE erasure (
  seq BIGINT NOT NULL PRIMARY KEY,
  listed TEXT NOT NULL,
  at BIGINT NOT NULL
);

CREATE TABLE legal_hold (
  id TEXT NOT NULL PRIMARY KEY,
  scope TEXT NOT NULL,
  subject TEXT NOT NULL,
  person TEXT NOT NULL,
  reason TEXT NOT NULL,
  set_at BIGINT NOT NULL
);

CREATE TABLE audit_archive (
  first BIGINT NOT NULL PRIMARY KEY,
  last BIGINT NOT NULL,
  digest TEXT NOT NULL,
  file TEXT NOT NULL,
  dropped_at BIGINT
);
