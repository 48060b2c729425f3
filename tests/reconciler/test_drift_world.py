"""What agents meet in the world is what was there when it was first seen, or it is told."""

import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from home import Home
from local_server import Answer, LocalServer

from reconciler.drift import settle, world
from reconciler.drift.drift import WORLD, Drift, DriftKind
from runner.contract import observations
from runner.contract.kinds import Key
from runner.contract.observations import ABSENT, THERE, Observation
from runner.contract.settings import Secrets, Settings
from runner.world import looking
from runner.world.answered import Answers
from runner.world.here import Here

NOW_US = 1_000_000


class Place:
    """A home, its settings, and an eye as the runner has one."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.settings = Settings(
            home=self.home.folder,
            secrets=Secrets(env=["DRIFT_KEY"], folder=str(self.secrets)),
        )
        self.here = Here(self.settings)
        self.now_us = NOW_US

    def look(self, *, connect: bool = False, as_runner: bool = True) -> dict[str, str]:
        """What every aspect is found to be after a look."""
        self.now_us += 1
        here = self.here if as_runner else None
        looking.look(self.home.database, self.settings, self.now_us, connect=connect, here=here)
        return {item.aspect: item.found for item in self.known()}

    def known(self) -> list[Observation]:
        with self.home.database.read() as connection:
            return observations.read(connection)

    def drifts(self) -> list[Drift]:
        return world.merged(world.drifts(self.known()))

    def tool(self, *command: str) -> None:
        spec = {"type": "command", "command": [*command], "requires": [{"read": "docs"}]}
        self.home.record("Tool", "scan", spec)

    def http(self, url: str, **network: Any) -> None:
        self.home.record("Tool", "api", {"type": "http", "endpoint": url, "network": network})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.home.close()


def test_a_program_that_became_another_is_told_with_both_digests(
    place: Place, tmp_path: Path
) -> None:
    script = tmp_path / "scan.py"
    script.write_text("print('fine')\n")
    place.tool("/bin/sh", str(script), "{file}")
    first = place.look()
    digest = hashlib.sha256(script.read_bytes()).hexdigest()
    assert first[f"program {script}"] == f"sha256:{digest}"
    assert place.drifts() == []
    script.write_text("print('evil')\n")
    place.look()
    (found,) = place.drifts()
    assert (found.subject, found.kind) == ("tool/default/scan", DriftKind.CHANGED)
    assert digest in found.sentence
    assert hashlib.sha256(script.read_bytes()).hexdigest() in found.sentence
    assert place.known()[-1].changed_at == place.now_us
    script.write_text("print('fine')\n")
    place.look()
    assert place.drifts() == []


def test_a_program_that_is_gone_is_told(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "scan"
    program.write_bytes(b"x")
    place.tool(str(program))
    place.look()
    program.unlink()
    place.look()
    (found,) = place.drifts()
    assert found.kind is DriftKind.UNAVAILABLE
    assert "No such file" in found.sentence


def test_a_program_may_be_a_pipe_and_nobody_waits_for_it(place: Place, tmp_path: Path) -> None:

    os.mkfifo(tmp_path / "pipe")
    place.tool(str(tmp_path / "pipe"))
    assert place.look()[f"program {tmp_path / 'pipe'}"] == f"{ABSENT}: it is no file"


def test_only_whether_a_secret_is_there_is_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"fromEnv": {"a": "DRIFT_KEY", "b": "OTHER"}, "fromFile": {"c": "token"}}
    place.home.record("Secret", "key", entries)
    seen = place.look()
    assert seen["env OTHER"] == f"{ABSENT}: the setting secrets.env does not name it"
    assert seen["env DRIFT_KEY"].startswith(ABSENT)
    assert seen["file token"].startswith(ABSENT)
    monkeypatch.setenv("DRIFT_KEY", "hunter2-canary")
    (place.secrets / "token").write_text("hunter2-canary")
    seen = place.look()
    assert (seen["env DRIFT_KEY"], seen["file token"]) == (THERE, THERE)
    assert "hunter2" not in repr(place.known())
    (found,) = place.drifts()
    assert found.sentence.startswith("env OTHER: missing")


def test_who_is_not_the_runner_says_nothing_of_its_secrets(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.home.record("Secret", "key", {"fromEnv": {"a": "DRIFT_KEY"}})
    monkeypatch.setenv("DRIFT_KEY", "x")
    place.look()
    monkeypatch.delenv("DRIFT_KEY")
    assert place.look(as_runner=False)["env DRIFT_KEY"] == THERE
    assert place.look()["env DRIFT_KEY"].startswith(ABSENT)


def test_an_address_is_connected_to_and_asked_nothing(place: Place) -> None:
    with LocalServer(lambda _: Answer()).running() as server:
        place.http(server.url + "/v1/{args.id}", private=["127.0.0.0/8"])
        assert place.look() == {}, "without being asked to, nobody connects"
        assert place.look(connect=True) == {f"address {server.url}": THERE}
        assert server.received == []
    place.look(connect=True)
    (found,) = place.drifts()
    assert found.kind is DriftKind.UNAVAILABLE
    assert "connection refused" in found.sentence


def test_an_address_is_held_to_the_rules_of_the_way_out(place: Place) -> None:
    # That the metadata service of a cloud answers must not be found out for a tool.
    place.http("http://169.254.169.254/latest")
    place.home.record(
        "ModelEndpoint",
        "local",
        {
            "provider": "openai-compatible",
            "base_url": f"http://user:secret@127.0.0.1:{_closed_port()}/v1?key=secret",
            "default_model": "m",
        },
    )
    seen = place.look(connect=True)
    assert "no tool may connect to" in seen["address http://169.254.169.254"]
    assert "secret" not in repr(place.known())


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_server_without_a_certificate_to_believe_is_not_there(place: Place) -> None:
    with LocalServer(lambda _: Answer()).running() as server:
        place.http("https" + server.url.removeprefix("http"), private=["127.0.0.0/8"])
        (found,) = place.look(connect=True).values()
    assert found.startswith(f"{ABSENT}: it does not speak TLS")


def test_what_nobody_declares_any_more_is_forgotten(place: Place, tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"x")
    place.tool(str(tmp_path / "scan"))
    place.look()
    with place.home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM resource")
    assert place.look() == {}


def test_a_poisoned_row_is_not_looked_into(place: Place, tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"x")
    place.tool(str(tmp_path / "scan"))
    place.home.record("Secret", "key", {"fromEnv": {"a": "DRIFT_KEY"}})
    with place.home.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE resource SET body = CAST(x'ff' AS TEXT) WHERE kind = 'Secret'"
        )
    assert list(place.look()) == [f"program {tmp_path / 'scan'}"]


def test_a_look_that_finds_nothing_new_writes_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(b"x")
    place.tool(str(tmp_path / "scan"))
    place.look()
    before = place.known()
    place.look()
    assert place.known() == before


ENDPOINT = Key("default", "ModelEndpoint", "default")


def test_a_name_that_comes_to_mean_another_model_is_told(place: Place) -> None:
    with place.home.database.write() as connection:
        answers = Answers(connection)
        answers.note(ENDPOINT, "gpt-4", "gpt-4-0613", NOW_US)
        answers.note(ENDPOINT, "gpt-4", "gpt-4-0613", NOW_US + 1)
        assert world.merged(world.drifts(observations.read(connection))) == []
        answers.note(ENDPOINT, "gpt-4", "gpt-4-1106", NOW_US + 2)
    (found,) = place.drifts()
    assert (found.subject, found.kind) == ("modelendpoint/default/default", DriftKind.CHANGED)
    assert found.sentence == "model gpt-4 was gpt-4-0613 when first seen, and is gpt-4-1106"


@pytest.mark.parametrize(
    "said", ["\ud800", "a\x00b", "x" * 100_000, "\x1b[31m", 7, None, ["gpt-4"], ""]
)
def test_whatever_an_endpoint_calls_its_model_can_be_kept(place: Place, said: object) -> None:
    with place.home.database.write() as connection:
        Answers(connection).note(ENDPOINT, "gpt-4", said, NOW_US)
    for item in place.known():
        assert item.found.isprintable()
        assert len(item.found) <= observations.TEXT_MAX


def test_what_is_observed_may_be_of_any_kind(place: Place) -> None:
    # As the schema of an MCP tool will be.
    at = ("", "mcpserver/default/files", "schema of read_file")
    with place.home.database.write() as connection:
        for digest in ("sha256:aa", "sha256:bb"):
            known = observations.one(connection, at)
            fresh = observations.fresh(known, [(at, digest)], NOW_US)
            observations.write(connection, fresh, ())
    (found,) = place.drifts()
    assert (
        found.sentence == "schema of read_file was sha256:aa when first seen, and is sha256:bb"
    )


def test_the_world_is_told_once_and_taken_as_it_is_by_a_person(
    place: Place, tmp_path: Path
) -> None:
    program = tmp_path / "scan"
    program.write_bytes(b"x")
    place.tool(str(program))
    place.look()
    program.write_bytes(b"y")
    place.look()
    database = place.home.database
    told = [world.settle_world(database, "default", None, place.now_us) for _ in range(2)]
    assert [len(one.fresh) for one in told] == [1, 0]
    with database.read() as connection:
        assert settle.drift_totals(connection) == {"default": 1}
    # A look at the recorded state leaves the world alone.
    seen = settle.Seen("default", None, settle.RECORDED, ())
    assert settle.settle(database, seen, place.now_us).gone == ()
    (item,) = place.known()
    with database.write() as connection:
        observations.accept(connection, [item.place])
    assert place.drifts() == []
    assert world.settle_world(database, "default", None, place.now_us).gone == (item.subject,)
    assert frozenset({DriftKind.CHANGED, DriftKind.UNAVAILABLE}) == WORLD


def test_what_was_missing_first_is_no_change_when_it_turns_up() -> None:
    missing = Observation("", "s", "env A", f"{ABSENT}: x", f"{ABSENT}: x", 1)
    assert [d.kind for d in world.drifts([missing])] == [DriftKind.UNAVAILABLE]
    (now,) = observations.fresh([missing], [(missing.place, THERE)], 2)
    assert now.found == THERE
    assert list(world.drifts([replace(now, value=THERE)])) == []
