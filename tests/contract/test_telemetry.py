"""A log line is one JSON object, and no error's text carries a secret into it."""

import json

import pytest

from runner.contract import telemetry

SECRET = "canary-log-7d10"


@pytest.fixture(autouse=True)
def _afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_hidden", {})
    telemetry.configure()


def failed(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        telemetry.log_exception("tool_failed", "A tool failed.", task="t")


def test_the_text_of_an_error_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.hide([SECRET])
    telemetry.configure()  # Now that standard error is the test's.
    failed(f"no {SECRET}, {SECRET.encode().hex()} here")
    line = json.loads(capsys.readouterr().err)
    assert "ValueError: no (secret), (secret) here" in line["exception"]
    assert (line["action"], line["task"]) == ("tool_failed", "t")


def test_the_values_told_of_first_make_room(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure()
    telemetry.hide(["first-of-all", SECRET])
    telemetry.hide(f"value-{number}" for number in range(telemetry.HIDDEN_MAX - 1))
    failed(f"first-of-all {SECRET} value-7")
    said = json.loads(capsys.readouterr().err)["exception"]
    assert "ValueError: first-of-all (secret) (secret)" in said
