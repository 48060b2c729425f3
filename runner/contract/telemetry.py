"""Logs of the daemon and the runner: one JSON object a line, on standard error.

Each line is a short sentence with an `action` to match on; `ACTIONS` is the whole list,
kept in docs/operating.md. A loop that did nothing logs nothing. The text of an error nobody
foresaw may hold anything: what `hide` was told is masked in it.
"""

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from runner.contract import clock, masking

ACTIONS: Final = frozenset(
    {
        "audit_alarm",
        "audit_cosigning_failed",
        "audit_failed",
        "audit_published",
        "audit_publishing_failed",
        "audit_recovered",
        "audit_signing_failed",
        "canary_failed",
        "canary_passed",
        "daemon_started",
        "model_fallback",
        "daemon_stopped",
        "database_back",
        "erased",
        "eval_failed",
        "eval_finished",
        "retention_failed",
        "database_waiting",
        "delivery_accepted",
        "delivery_refused",
        "drift_failed",
        "drift_found",
        "drift_healed",
        "hook_accepted",
        "hook_refused",
        "leader_elected",
        "leader_lost",
        "leader_waiting",
        "message_refused",
        "notification_failed",
        "notifications_lost",
        "notifier_failed",
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
        "task_parked",
        "task_released",
        "tool_denied",
        "tool_failed",
        "tool_retried",
        "watch_unavailable",
        "web_failed",
        "web_listening",
        "witness_cosigned",
        "witness_fork",
        "witness_listening",
        "witness_refused",
        "witness_stopped",
        "worker_draining",
        "worker_exited",
        "worker_killed",
        "worker_started",
        "world_failed",
    }
)

HIDDEN_MAX: Final = 500
"""Values to mask; the ones told of first make room."""

Line = tuple[str, str, dict[str, Any]]
"""An action, a sentence, and ids."""

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)
_log = logging.getLogger("orloj")
_hidden: dict[str, None] = {}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = {
            "time": clock.iso(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
        }
        lines: list[Line] = getattr(record, "lines", [("", record.getMessage(), {})])
        said = [
            {**when, "message": message, "action": action, **fields}
            for action, message, fields in lines
        ]
        if record.exc_info:
            text = self.formatException(record.exc_info)
            said[-1]["exception"] = masking.redact(text, tuple(_hidden))
        return "\n".join(map(_ENCODER.encode, said))


def configure(level: int = logging.INFO) -> None:
    """Send our log lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    _log.handlers[:] = [handler]
    _log.propagate = False
    _log.setLevel(level)


def hide(values: Iterable[str]) -> None:
    """Mask these values in the text of errors from now on."""
    for value in values:
        _hidden.pop(value, None)
        _hidden[value] = None
    while len(_hidden) > HIDDEN_MAX:
        del _hidden[next(iter(_hidden))]


def log(action: str, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Write a line. `fields` are ids and numbers, never values of secrets or arguments."""
    log_all([(action, message, fields)], level=level)


def log_all(lines: Sequence[Line], *, level: int = logging.INFO) -> None:
    """Write lines at once, which costs little more than writing one."""
    assert all(line[0] in ACTIONS for line in lines), "name the action in telemetry.ACTIONS"
    if lines:
        _log.log(level, lines[0][1], extra={"lines": lines})


def log_exception(action: str, message: str, **fields: Any) -> None:
    """Write a line about an error nobody foresaw, with its traceback."""
    assert action in ACTIONS, f"name the action {action} in telemetry.ACTIONS"
    _log.error(message, exc_info=True, extra={"lines": [(action, message, fields)]})
