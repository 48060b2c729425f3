-- Approvals: what a person is asked, and who is to be told of it.

CREATE TABLE approval (
  id TEXT NOT NULL PRIMARY KEY,
  task_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  state TEXT NOT NULL,
  request BLOB NOT NULL,
  digest TEXT NOT NULL,
  requested_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  approver TEXT,
  approver_hash TEXT,
  assurance TEXT,
  reason TEXT,
  signature TEXT,
  decided_at BIGINT,
  closed_at BIGINT
);
CREATE INDEX approval_task ON approval (task_id, step);
CREATE INDEX approval_open ON approval (task_id) WHERE state IN ('pending', 'approved');

CREATE TABLE notification (
  id TEXT NOT NULL PRIMARY KEY,
  approval_id TEXT NOT NULL,
  event TEXT NOT NULL,
  hook TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due_at BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  closed_at BIGINT
);
CREATE INDEX notification_due ON notification (due_at) WHERE state = 'waiting';
