"""A secret comes from where the host allows it, or has no value; no name harms the runner."""

import os
from pathlib import Path

import pytest
from home import Home

from runner import credentials, pinning
from runner.contract import seal, settings


def found(home: Home, folder: Path, spec: dict[str, dict[str, str]]) -> dict[str, str]:
    home.record("Secret", "s", spec)
    auth = {"type": "http", "endpoint": "http://x", "auth": {"secretRef": "s"}}
    home.record("Tool", "t", auth)
    agent = home.record("Agent", "a", {"model": "m", "tools": [{"name": "t"}]})
    allowed = {"ORLOJ_SECRETS_ENV": "ALLOWED:EMPTY", "ORLOJ_SECRETS_FOLDER": str(folder)}
    where = settings.load(home.folder, allowed)
    with home.database.read() as connection:
        manifests, _ = pinning.resolve(connection, agent)
        return credentials.find(connection, manifests, seal.sealer(home.folder), where)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "credentials"
    made.mkdir()
    (made / "key").write_text("of a file\n", encoding="utf-8")
    (made / "empty").write_text("\n", encoding="utf-8")
    (made / "raw").write_bytes(b"\xff\xfe")
    os.mkfifo(made / "pipe")
    (tmp_path / "outside").write_text("of nobody", encoding="utf-8")
    return made


def test_a_value_comes_from_a_named_file_or_an_allowed_variable(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED", "of a variable")
    assert found(home, folder, {"fromFile": {"value": "key"}}) == {
        "default/s:value": "of a file"
    }
    assert found(home, folder, {"fromEnv": {"value": "ALLOWED"}}) == {
        "default/s:value": "of a variable"
    }


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "..", "", "pipe", "raw", "empty", "k\x00y", "x" * 5_000],
    ids=["up", "absolute", "dots", "none", "pipe", "raw", "empty", "zero byte", "long"],
)
def test_a_file_that_gives_no_value_is_left_out_and_nobody_waits_for_it(
    home: Home, folder: Path, name: str
) -> None:
    assert found(home, folder, {"fromFile": {"value": name}}) == {}


@pytest.mark.parametrize("name", ["OTHER", "EMPTY", "A=B", "\x00", "", "PATH"], ids=repr)
def test_a_variable_that_is_not_allowed_or_empty_gives_no_value(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("OTHER", "not yours")
    monkeypatch.setenv("EMPTY", "")
    assert found(home, folder, {"fromEnv": {"value": name}}) == {}
