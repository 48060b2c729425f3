"""Logs of the daemon and the runner: one JSON object a line, on standard error.

Each line is a short sentence with an `action` to match on; `ACTIONS` is the whole list,
kept in docs/operating.md. A loop that did nothing logs nothing.
"""

import json
import logging
import sys
from typing import Any, Final

from runner.contract import clock

ACTIONS: Final = frozenset(
    {
        "daemon_started",
        "daemon_stopped",
        "database_back",
        "database_waiting",
        "leader_elected",
        "leader_lost",
        "leader_waiting",
        "message_refused",
        "notifications_lost",
        "pass_applied",
        "pass_failed",
        "pass_rejected",
        "pool_drained",
        "pool_started",
        "pool_stopped",
        "pool_stopping",
        "schedule_fired",
        "schedule_missed",
        "schedule_skipped",
        "schedule_unreadable",
        "schedules_failed",
        "task_claimed",
        "task_finished",
        "task_released",
        "tool_denied",
        "tool_failed",
        "watch_unavailable",
        "worker_draining",
        "worker_exited",
        "worker_killed",
        "worker_started",
    }
)

_log = logging.getLogger("orloj")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": clock.iso(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: int = logging.INFO) -> None:
    """Send our log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    _log.handlers[:] = [handler]
    _log.propagate = False
    _log.setLevel(level)


def log(action: str, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write a line. `fields` are ids and numbers, never values of secrets or arguments."""
    assert action in ACTIONS, f"name the action {action} in telemetry.ACTIONS"
    _log.log(level, message, extra={"fields": {"action": action, **fields}})


def log_exception(action: str, message: str, **fields: Any) -> None:
    """Write a line about an error nobody foresaw, with its traceback."""
    assert action in ACTIONS, f"name the action {action} in telemetry.ACTIONS"
    _log.error(message, exc_info=True, extra={"fields": {"action": action, **fields}})
