-- What keeps the log from being signed or published, and what stands at which remote.

CREATE TABLE audit_trouble (
  part TEXT NOT NULL PRIMARY KEY,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  since_at BIGINT NOT NULL
);

CREATE TABLE audit_publication (
  remote TEXT NOT NULL PRIMARY KEY,
  size BIGINT NOT NULL,
  published_at BIGINT NOT NULL
);
