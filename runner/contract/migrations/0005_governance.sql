-- Governance: rules are found by their kind, and tasks that wait for a limit or a person go
-- on by themselves when their time has come.

CREATE INDEX resource_kind ON resource (kind, namespace);
DROP INDEX task_scheduled;
CREATE INDEX task_scheduled ON task (run_at)
  WHERE state IN ('backing_off', 'waiting_approval', 'waiting_tokens');
