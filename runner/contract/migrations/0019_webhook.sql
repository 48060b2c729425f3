-- Task webhooks: what became of deliveries, and the events that are known. Child tasks.

CREATE TABLE task_webhook (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  accepted BIGINT NOT NULL,
  duplicates BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  delivered_at BIGINT,
  task_id TEXT,
  refused_at BIGINT,
  refusal TEXT,
  problem TEXT,
  PRIMARY KEY (namespace, name)
);

CREATE TABLE task_webhook_event (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  event TEXT NOT NULL,
  task_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (namespace, name, event)
);

CREATE INDEX task_webhook_event_expiry ON task_webhook_event (expires_at);

CREATE TABLE task_child (
  parent_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  task_id TEXT NOT NULL,
  root_id TEXT NOT NULL,
  depth INTEGER NOT NULL,
  labels TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (parent_id, step)
);

CREATE UNIQUE INDEX task_child_task ON task_child (task_id);

CREATE INDEX task_child_root ON task_child (root_id);
