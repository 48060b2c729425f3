-- Schedules: how far each has been decided, and what became of its last moments.

CREATE TABLE schedule (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  timing TEXT NOT NULL,
  suspended BOOLEAN NOT NULL,
  generation BIGINT NOT NULL,
  through_at BIGINT NOT NULL,
  missed BIGINT NOT NULL,
  PRIMARY KEY (namespace, name)
);

CREATE TABLE schedule_fire (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  fire_at BIGINT NOT NULL,
  decision TEXT NOT NULL,
  reason TEXT,
  task_id TEXT,
  decided_at BIGINT NOT NULL,
  PRIMARY KEY (namespace, name, fire_at)
);
