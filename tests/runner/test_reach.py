"""A manifest set is the same wherever its resources are found, and `access` asks the guard."""

from pathlib import Path
from typing import Any

import pytest
from home import Home

from runner import pinning
from runner.contract.kinds import Key, Permission
from runner.governance import access, reach
from runner.governance.access import Question
from runner.governance.verdict import Decision
from runner.manifest_set import ManifestSet

TOOL = {"type": "python", "function": "f"}
READS = {"name": "t", "permissions": [{"read": "docs/a*"}]}


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Any:
    made = Home(tmp_path / "home", database_url)
    made.record("Agent", "clerk", {"model": "m", "tools": [READS, "u"], "roles": ["r"]})
    made.record("AgentRole", "r", {"permissions": ["write:x"]})
    made.record("Tool", "t", {**TOOL, "requires": [{"read": "docs/{args.folder.name}"}]})
    made.record("Tool", "u", {**TOOL, "requires": [{"write": "x"}]})
    made.record("DataSource", "x", {"type": "sqlite", "path": "x.db"})
    made.record("DataSource", "y", {"type": "sqlite", "path": "y.db"})
    made.record("AgentPolicy", "p", {"blocked_tools": ["u"], "target_tasks": ["nightly"]})
    made.record("Namespace", "default", {})
    made.record("Agent", "other", {"model": "m"})
    yield made
    made.close()


CLERK = Key("default", "Agent", "clerk")


def recorded(home: Home) -> ManifestSet:
    with home.database.read() as connection:
        return pinning.resolve(connection, CLERK)[0]


def test_the_record_and_memory_give_the_same_set(home: Home) -> None:
    with home.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT namespace, kind, name FROM resource").all()
        keys = [Key(*row) for row in rows]
        declared = {key: placed for key in keys if (placed := pinning.find(connection, key))}
    found = reach.gather(CLERK, *reach.among(declared))

    assert found.to_text() == recorded(home).to_text()
    assert Key("default", "DataSource", "x") in found.resources
    assert Key("default", "DataSource", "y") not in found.resources
    assert Key("default", "Agent", "other") not in found.resources


@pytest.mark.parametrize(
    ("permission", "decisions"),
    [
        ("read:docs/abc", [("t", Decision.ALLOW)]),
        ("read:docs/b", [("t", Decision.DENY)]),
        ("read:docs/a/../b", [("t", Decision.DENY)]),
        ("write:x", [("u", Decision.ALLOW)]),
        ("read:mail", []),
    ],
)
def test_a_permission_is_asked_of_every_tool_that_may_need_it(
    home: Home, permission: str, decisions: list[tuple[str, Decision]]
) -> None:
    manifests = recorded(home)
    asked = Question(permission=Permission.model_validate(permission))
    found = access.answers(manifests, manifests.agent("clerk"), asked)

    assert [(item.tool, item.verdict.decision) for item in found] == decisions


def test_a_policy_that_speaks_of_a_task_counts_for_that_task(home: Home) -> None:
    manifests = recorded(home)
    asked = Question(permission=Permission.of("write", "x"), task="nightly")
    (found,) = access.answers(manifests, manifests.agent("clerk"), asked)

    assert found.verdict.decision is Decision.DENY
    assert "blocks the tool u" in found.verdict.reason


def test_the_matrix_decides_a_grant_with_a_star_on_a_sample(home: Home) -> None:
    manifests = recorded(home)
    found = access.matrix(manifests, manifests.agent("clerk"), None)

    assert [(item.tool, item.about, item.verdict.decision) for item in found] == [
        ("t", "read:docs/a*", Decision.ALLOW),
        ("u", "write:x", Decision.ALLOW),
    ]
    assert found[0].arguments == {"folder": {"name": "aany"}}
