"""`orloj migrate` brings a server to the newest schema once, and says what it did."""

import json

import pytest

from runner.contract import database


def test_an_empty_server_is_migrated_by_the_command_that_the_error_names(
    orloj, monkeypatch: pytest.MonkeyPatch, postgresql_url: str
) -> None:
    monkeypatch.setenv("ORLOJ_DATABASE_URL", postgresql_url)
    newest = len(database.migrations())
    refused = orloj("status")
    assert (refused.code, "run `orloj migrate` once" in refused.err) == (1, True)
    assert orloj("migrate", "--check").code == 2
    assert json.loads(orloj("migrate", "--json").out) | {"database": ""} == {
        "database": "",
        "before": 0,
        "after": newest,
        "newest": newest,
    }
    assert orloj("migrate", "--check").code == 0
    again = orloj("migrate")
    assert (again.code, "Nothing to do" in again.err) == (0, True)
    assert orloj("status").code == 0


def test_a_home_without_a_server_is_migrated_when_it_is_opened(orloj) -> None:
    assert orloj("status").code == 0
    assert "Nothing to do" in orloj("migrate").err
