"""A period in which everything happens that a report tells of, hostile names among it."""

import json
from pathlib import Path
from typing import Any

from period import CLERK, SECOND_US, Period
from repository import Repository

from reconciler.evidence.population.inventory import Declares
from reconciler.evidence.populations import Populations
from reconciler.evidence.report import Report
from reconciler.evidence.repositories import Commits
from runner.contract.audit_entry import EntryType

HOSTILE = "<script>alert(1)</script>\"'&\u202egnp.exe\x1b[31m" + "w" * 600
_AGENT = """\
apiVersion: orloj.dev/v1
kind: Agent
metadata:
  name: {name}
  labels:
    owner: compliance team
spec:
  model: gpt-4
  tools:
    - name: scan-documents
      permissions:
        - read: compliance_docs
{more}
  governance:
    maxTokensPerMinute: 10000
    requireApproval:
      - write: issue_tracker
"""
_WRITES = "    - name: flag-issues\n      permissions:\n        - write: issue_tracker\n"
_REVIEWED = "Let it flag issues\n\nReviewed-by: Eve Example <eve@example.com>\n"
_TOOLS = ("scan-documents", "flag-issues", "search-web")


def write(
    period: Period, repository: Repository, folder: Path, scratch: Path, *, pdf: bool = False
) -> None:
    """The report of all that is there, in a folder as an export fills it."""
    scope = period.scope(folder)
    mirrors: dict[str, Declares] = {"default": Commits(repository.origin, scratch)}
    populations = Populations(scope, mirrors)
    report = Report(scope, populations, pdf=pdf)
    for entry in period.entries():
        populations.take(entry)
    populations.end()
    report.end()
    populations.close()
    assert report.remark == ""


def fill(period: Period, repository: Repository, calls: int = 60) -> None:
    """Commits, calls, approvals, limits, denials, and what went wrong."""
    commits = _commits(period, repository)
    period.add(EntryType.LOG_STARTED, actor="dispatcher:host-a")
    for number in range(calls):
        _task(period, number, commits[min(2, number * 3 // calls)])
    _approvals(period, commits[-1])
    _trouble(period, commits[-1])
    period.add(EntryType.LOG_STOPPED, actor="dispatcher:host-a")


def _commits(period: Period, repository: Repository) -> list[str]:
    commits = []
    for message, name, more in (
        ("Hire a checker", "checker", ""),
        (_REVIEWED, "checker", _WRITES),
        (f"Hire another {HOSTILE[:60]}".replace("\x1b", ""), "triage", ""),
    ):
        repository.write(f"agents/{name}.yaml", _AGENT.format(name=name, more=more))
        commits.append(repository.commit(message))
        repository.push()
        facts: dict[str, Any] = {"actor": "git:default", "commit": commits[-1]}
        overridden = {"outcome": "freeze", "actor": "person:ada", "reason": "an emergency"}
        given = [
            (
                EntryType.MANIFEST_OVERRIDDEN,
                {**facts, **overridden, "resource": "source/default"},
            ),
            (EntryType.MANIFEST_APPLIED, {**facts, "digest": "p" * 64, "outcome": "1 created"}),
            (EntryType.RESOURCE_CREATED, {**facts, "resource": f"Agent default/{name}"}),
            (EntryType.MANIFEST_WIDENED, {**facts, "reason": f"{name} gains something"}),
        ]
        period.together(*given[1 if len(commits) < 3 else 0 :])
    return commits


def _task(period: Period, number: int, commit: str) -> None:
    task, agent = f"{number:026d}", ("default/checker", "default/triage")[number % 2]
    about = {"agent": agent, "tool": _TOOLS[number % 3], "commit": commit}
    period.add(EntryType.TASK_QUEUED, task=task, commit=commit)
    model = {**about, "tool": None, "model": "gpt-4"}
    minute = ("tokens_per_minute", agent, 900, 10_000)
    step = {"task": task, "attempt": 1, "step": 0, "commit": commit}
    at = {"at": period.now_us}
    period.add(EntryType.TOKENS_RESERVED, **step, charges=(minute,), **at, outcome="bound")
    period.call(task, 0, EntryType.ACTION_EXECUTED, **model)
    used = ("tokens_per_minute", agent, 300 + number, 10_000)
    period.add(EntryType.TOKENS_SETTLED, **step, charges=(used,), at=period.now_us)
    rule = "agents/checker.yaml:9"
    if number % 5 == 4:
        why = "the agent is not granted write:issue_tracker for this tool"
        facts = {"permission": "write:issue_tracker", "rule": rule, "reason": why}
        period.decide(task, 1, "deny", **about, **facts)
    else:
        ending = EntryType.ACTION_FAILED if number % 7 == 3 else EntryType.ACTION_EXECUTED
        period.call(task, 1, ending, **about, permission="read:compliance_docs", rule=rule)
    period.finish(task)


def _approvals(period: Period, commit: str) -> None:
    answers = [
        EntryType.APPROVAL_GRANTED,
        EntryType.APPROVAL_DENIED,
        EntryType.APPROVAL_EXPIRED,
    ]
    for number, seconds in enumerate([2, 3, 40, 55, 180, 400, 900, 2_000, 4_000, 30_000]):
        task, request = f"approval-{number}", f"{number:026d}"
        about = {"agent": "default/checker", "tool": "flag-issues", "commit": commit}
        period.add(EntryType.TASK_QUEUED, task=task, commit=commit)
        period.decide(task, 1, "ask", **about)
        asked = {**CLERK, **about, "task": task, "step": 1, "attempt": 1, "approval": request}
        period.add(EntryType.APPROVAL_REQUESTED, **asked, digest="sha256:" + "d" * 64)
        answer = answers[(number % 5) // 2]
        actor = {"actor": f"approver:default/{('eve', 'mallory')[number % 2]}"}
        said = {"permission": "write:issue_tracker", "rule": "agents/checker.yaml:18"}
        why = {"reason": "signed with SHA256:abc"}
        period.add(answer, seconds * SECOND_US, **{**asked, **actor, **said, **why})
        if answer is EntryType.APPROVAL_GRANTED:
            again = {**asked, "attempt": 2}
            period.together(
                (EntryType.APPROVAL_CONSUMED, again),
                (EntryType.ACTION_DECIDED, {**again, "decision": "allow"}),
                (EntryType.ACTION_STARTED, again),
            )
            period.add(EntryType.ACTION_EXECUTED, **again, duration_us=40_000)
        period.finish(task)


def _trouble(period: Period, commit: str) -> None:
    hostile = {"reason": HOSTILE, "resource": f"Agent default/{HOSTILE}", "commit": commit}
    for type in (
        *(EntryType.MANIFEST_REJECTED, EntryType.DRIFT_DETECTED, EntryType.DRIFT_HEALED),
        *(EntryType.LOG_PUBLISH_FAILED, EntryType.ERASURE_DONE, EntryType.HOLD_SET),
        *(EntryType.ACCESS_READ, EntryType.ACCESS_REVIEWED, EntryType.NOTIFICATION_FAILED),
    ):
        period.add(type, **hostile, actor=f"person:{HOSTILE[:40]}")
    period.add(EntryType.TASK_QUEUED, task="lost", commit=commit)
    about = {"agent": HOSTILE, "tool": "flag-issues", "commit": commit}
    period.call("lost", 1, EntryType.ACTION_UNKNOWN, **about)
    period.decide("lost", 2, "deny", **about, rule=f"{HOSTILE}:1", reason=HOSTILE)
    period.add(EntryType.LOG_STARTED, actor="dispatcher:host-a")


def frameworks(folder: Path) -> None:
    """What the part of the controls writes, as far as the report reads it."""
    control: dict[str, Any] = {
        "question": "Who did what, and who allowed it?",
        "note": "Forge.",
    }
    statuses = ("evidenced", "exception", "not-evidenced", "deployer", "n-a")
    controls = [
        {
            **control,
            "id": f"CC{number}.1",
            "status": status,
            "responsibility": "shared",
            "population": number * 10,
            "exceptions": [{"seq": 7, "what": HOSTILE}] if status == "exception" else [],
            "exceptions_count": 12 if status == "exception" else 0,
            "entry_seqs": list(range(1, number * 3)),
            "evidence": [{"name": "log", "reason": "nothing of it in the period"}],
        }
        for number, status in enumerate(statuses, start=1)
    ]
    content = {
        **{"format": "orloj-controls/1", "framework": "soc2", "title": "SOC 2", "version": 1},
        **{"status": "reviewed", "mapping_digest": "sha256:" + "e" * 64, "controls": controls},
        "counts": {status: 1 for status in statuses},
    }
    (folder / "controls").mkdir(parents=True, exist_ok=True)
    (folder / "controls" / "soc2.json").write_text(json.dumps(content), encoding="utf-8")
