"""A worker touches the source that the dispatcher's answer allows, and no other.

The dispatcher's side of the wire is played here; the guard, the tool and the databases are
the real ones. What the model wrote in the arguments names another database throughout.
"""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from data_sources import ELSEWHERE, sqlite_pair

from runner import named_secrets
from runner.contract import kinds
from runner.contract.kinds import Key, Metadata
from runner.conversation import ToolCall
from runner.guard import Guard
from runner.link import Link
from runner.manifest_set import ManifestSet, Placed
from runner.place import Place
from runner.tools import Bounds
from runner.wire import Wire

CLERK = Key("default", "Agent", "clerk")
SPECS: dict[Key, dict[str, Any]] = {
    CLERK: {"model": "m", "tools": [{"name": "ask", "permissions": [{"read": "*"}]}]},
    Key("default", "Tool", "ask"): {"type": "sql", "requires": [{"read": "{args.database}"}]},
    Key("default", "DataSource", "analytics_db"): {"type": "sqlite", "path": "analytics.db"},
    Key("default", "DataSource", "other_db"): {"type": "sqlite", "path": "other.db"},
    Key("shared", "DataSource", "far_db"): {"type": "sqlite", "path": "other.db"},
    Key("default", "DataSource", "server"): {
        "type": "postgresql",
        "url": "postgresql://u@127.0.0.1/d",
        "auth": {"secretRef": "keys:server"},
    },
}


def manifests() -> ManifestSet:
    placed = {
        key: Placed(
            key,
            kinds.canonical(
                Metadata(name=key.name), kinds.KINDS[key.kind].model_validate(spec)
            ),
            f"{key.name}.yaml",
            1,
            {},
        )
        for key, spec in SPECS.items()
    }
    return ManifestSet(CLERK, placed)


def called(folder: Path, answer: dict[str, Any], query: str) -> dict[str, Any]:
    """What the journal keeps of a call that the dispatcher gave this answer to."""

    async def story() -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        near = await asyncio.open_connection(sock=ours)
        far = await asyncio.open_connection(sock=theirs)
        worker, dispatcher = Wire(*near), Wire(*far)
        link = Link(worker, 60_000_000)
        found = manifests()
        guard = Guard(link, "t", 1, found, {}, Bounds(folder, (), 100_000))
        call = ToolCall("c", "ask", {"database": "other_db", "query": query})
        calling = asyncio.create_task(guard.call_tool(Place(1), found.agent("clerk"), call))
        asked = await dispatcher.receive()
        assert asked is not None
        dispatcher.send({"do": "answer", "id": asked["id"], **answer})
        message = await worker.receive()
        assert message is not None
        link.answered(message)
        result = await calling
        for _, writer in (near, far):
            writer.close()
            await writer.wait_closed()
        return result

    return asyncio.run(story())


QUERY = "SELECT count(*) FROM orders"


def test_the_permission_chooses_the_source(tmp_path: Path) -> None:
    sqlite_pair(tmp_path, "delete")
    answer = {"decision": "allow", "permissions": ["read:analytics_db"]}
    assert json.loads(called(tmp_path, answer, QUERY)["content"])["rows"] == [[3]]


def test_the_permission_chooses_the_access(tmp_path: Path) -> None:
    sqlite_pair(tmp_path, "delete")
    delete = "DELETE FROM orders"
    read = {"decision": "allow", "permissions": ["read:analytics_db"]}
    assert "does not allow to delete" in called(tmp_path, read, delete)["error"]
    write = {"decision": "allow", "permissions": ["write:analytics_db"]}
    assert json.loads(called(tmp_path, write, delete)["content"])["changed"] == 3


@pytest.mark.parametrize(
    "answer",
    [
        {"decision": "allow"},
        {"decision": "allow", "permissions": []},
        {"decision": "allow", "permissions": ["read:nothing"]},
        {"decision": "allow", "permissions": ["read:far_db"]},
        {"decision": "allow", "permissions": ["read:*"]},
        {"decision": "allow", "permissions": ["read"]},
        {"decision": "allow", "permissions": ["read:analytics_db", "read:other_db"]},
        {"decision": "allow", "permissions": ["read:{args.database}"]},
        {
            "decision": "deny",
            "reason": "no",
            "code": "permission_denied",
            "permissions": ["read:other_db"],
        },
    ],
    ids=str,
)
def test_an_answer_that_is_not_clear_opens_nothing(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    sqlite_pair(tmp_path, "delete")
    result = called(tmp_path, answer, "SELECT * FROM orders")
    assert "content" not in result
    assert ELSEWHERE not in json.dumps(result)


def test_a_set_names_the_secret_of_a_data_source() -> None:
    assert named_secrets.entries(manifests()) == [(Key("default", "Secret", "keys"), "server")]


def test_a_namespace_has_its_own_data_sources() -> None:
    assert set(manifests().data_sources("default")) == {"analytics_db", "other_db", "server"}
    assert set(manifests().data_sources("shared")) == {"far_db"}
