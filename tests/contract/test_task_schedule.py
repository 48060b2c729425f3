"""A TaskSchedule keeps every field it takes, and refuses the rest with the place and why."""

import pytest

from reconciler import manifest
from runner.contract.kinds import Key, TaskSchedule, spec_of

HEAD = "apiVersion: orloj.dev/v1\nkind: TaskSchedule\nmetadata:\n  name: nightly\nspec:\n"
FULL = """\
  task_ref: ops/report
  schedule: "0 9 * * 1"
  time_zone: America/Chicago
  suspend: true
  starting_deadline_seconds: 60
  concurrency_policy: replace
  successful_history_limit: 5
  failed_history_limit: 0
"""


def parse(spec: str) -> manifest.Parsed:
    return manifest.parse((HEAD + spec).encode(), "s.yaml", lambda value: (value, value))


def test_every_field_is_read_in_both_spellings() -> None:
    snake = parse(FULL)
    camel = parse(
        "  taskRef: ops/report\n  schedule: '0 9 * * 1'\n  timeZone: America/Chicago\n"
        "  suspend: true\n  startingDeadlineSeconds: 60\n  concurrencyPolicy: replace\n"
        "  successfulHistoryLimit: 5\n  failedHistoryLimit: 0\n"
    )
    assert snake.problems == camel.problems == ()
    assert snake.resources[0].body == camel.resources[0].body
    (mention,) = snake.resources[0].mentions
    assert (mention.target, mention.line) == (Key("ops", "Task", "report"), 6)
    assert mention.required


def test_what_is_not_said_is_as_in_the_public_dialect() -> None:
    (resource,) = parse("  task_ref: report\n  schedule: '@daily'\n").resources
    spec = spec_of("TaskSchedule", resource.body)
    assert isinstance(spec, TaskSchedule)
    assert (spec.time_zone, spec.suspend, spec.concurrency_policy) == ("UTC", False, "forbid")
    assert spec.starting_deadline_seconds == 300
    assert (spec.successful_history_limit, spec.failed_history_limit) == (10, 3)


def test_null_is_a_deadline_that_never_passes() -> None:
    text = "  task_ref: r\n  schedule: '@daily'\n  starting_deadline_seconds: null\n"
    (resource,) = parse(text).resources
    spec = spec_of("TaskSchedule", resource.body)
    assert isinstance(spec, TaskSchedule)
    assert spec.starting_deadline_seconds is None


@pytest.mark.parametrize(
    ("wrong", "line", "words"),
    [
        ("  schedule: '0 9 * * 8'", 7, "day of week: 8 is not 0 to 7"),
        ("  schedule: '0 0 30 2 *'", 7, "it never comes"),
        ("  schedule: '0 0 9 * * 1'", 7, "seconds are not supported"),
        ("  schedule: '@daily'\n  time_zone: Mars/Olympus", 8, "is no time zone"),
        ("  schedule: '@daily'\n  concurrency_policy: queue", 8, "`concurrency_policy`"),
        ("  schedule: '@daily'\n  starting_deadline_seconds: 0", 8, "at least 1"),
        ("  schedule: '@daily'\n  failed_history_limit: -1", 8, "at least 0"),
        ("  schedule: '@daily'\n  jitter: 5s", 8, "unknown field `jitter`"),
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: str, line: int, words: str) -> None:
    parsed = parse(f"  task_ref: r\n{wrong}\n")
    assert parsed.resources == ()
    (problem,) = parsed.problems
    assert problem.line == line
    assert words in problem.message
