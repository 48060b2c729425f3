-- Lanes: tasks of one subject with the same requirements wait in one line, so that the
-- runner finds the head of each without reading the lines.

ALTER TABLE task ADD COLUMN requirements TEXT NOT NULL DEFAULT '{}';
ALTER TABLE task ADD COLUMN lane TEXT GENERATED ALWAYS AS
  (namespace || '/' || subject_kind || '/' || subject_name || ' ' || requirements) VIRTUAL;
DROP INDEX task_ready;
CREATE INDEX task_ready ON task (priority, lane, id) WHERE state = 'pending';
