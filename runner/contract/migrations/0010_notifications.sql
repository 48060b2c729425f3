-- Who is told of events, how far that went, and what is to be sent.

CREATE TABLE event_cursor (
  target TEXT NOT NULL PRIMARY KEY,
  event_id BIGINT NOT NULL
);

CREATE TABLE event_notification (
  id TEXT NOT NULL PRIMARY KEY,
  target TEXT NOT NULL,
  source TEXT NOT NULL,
  event_id BIGINT NOT NULL,
  severity TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  commit_sha TEXT,
  resource TEXT,
  status TEXT,
  happened_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due_at BIGINT NOT NULL,
  taken_until BIGINT NOT NULL,
  error TEXT,
  closed_at BIGINT
);
CREATE INDEX event_notification_due ON event_notification (target, due_at)
  WHERE state = 'waiting';
CREATE UNIQUE INDEX event_notification_event ON event_notification (target, event_id);
CREATE INDEX event_notification_commit ON event_notification (target, commit_sha);
