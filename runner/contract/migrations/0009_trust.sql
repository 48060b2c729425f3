-- Trust: who vouched for each revision.

CREATE TABLE revision_provenance (
  serial BIGINT NOT NULL PRIMARY KEY,
  source TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  signature TEXT NOT NULL,
  signer TEXT NOT NULL,
  signer_key TEXT NOT NULL,
  reviewers TEXT NOT NULL,
  trailers TEXT NOT NULL,
  remarks TEXT NOT NULL
);
CREATE INDEX revision_provenance_commit ON revision_provenance (source, commit_sha);
