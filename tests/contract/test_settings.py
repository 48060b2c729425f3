"""A setting comes from the environment, else from orloj.toml, else it is the default.

A setting nobody knows, or one out of bounds, stops the start and is named.
"""

from pathlib import Path

import pytest

from runner.contract import errors, settings


def written(home: Path, text: str) -> Path:
    (home / settings.FILE_NAME).write_text(text)
    return home


def test_an_empty_home_has_the_defaults(tmp_path: Path) -> None:
    loaded = settings.load(tmp_path, {})
    assert loaded == settings.Settings(home=tmp_path)
    assert loaded.files == tmp_path / "files"
    assert loaded.run == tmp_path / "run"
    assert loaded.workers >= 1


def test_the_file_is_read(tmp_path: Path) -> None:
    home = written(tmp_path, '[source]\nurl = "/srv/a.git"\n[runner]\nworkers = 3\n')
    loaded = settings.load(home, {})
    assert (loaded.source.url, loaded.workers) == ("/srv/a.git", 3)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    home = written(tmp_path, "[runner]\nworkers = 3\nslots = 5\n")
    loaded = settings.load(home, {"ORLOJ_RUNNER_WORKERS": "7"})
    assert (loaded.runner.workers, loaded.runner.slots) == (7, 5)


def test_a_list_in_the_environment_is_split_at_colons(tmp_path: Path) -> None:
    loaded = settings.load(tmp_path, {"ORLOJ_TOOLS_COMMANDS": "/bin/a:/bin/b:"})
    assert loaded.tools.commands == ["/bin/a", "/bin/b"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("[source]\nurll = 'x'\n", "source.urll", id="unknown-key"),
        pytest.param("[sauce]\nurl = 'x'\n", "sauce", id="unknown-table"),
        pytest.param("[runner]\nslots = 0\n", "runner.slots", id="too-small"),
        pytest.param("[runner]\nlease_s = 'long'\n", "runner.lease_s", id="not-a-number"),
        pytest.param("[source\n", "cannot be read", id="not-toml"),
        pytest.param("source = 3\n", "source", id="table-is-a-number"),
    ],
)
@pytest.mark.parametrize(
    "variables", [{}, {"ORLOJ_SOURCE_URL": "/srv/a"}], ids=["file", "both"]
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, text: str, named: str, variables: dict[str, str]
) -> None:
    with pytest.raises(errors.SettingsInvalid, match=named):
        settings.load(written(tmp_path, text), variables)


def test_a_wrong_variable_is_named_and_its_value_is_not(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingsInvalid) as caught:
        settings.load(tmp_path, {"ORLOJ_RUNNER_SLOTS": "hunter2"})
    assert "runner.slots" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        pytest.param({"ORLOJ_HOME": "/a", "XDG_STATE_HOME": "/b"}, "/a", id="named"),
        pytest.param({"XDG_STATE_HOME": "/b", "HOME": "/c"}, "/b/orloj", id="xdg"),
        pytest.param({"HOME": "/c"}, "/c/.local/state/orloj", id="home"),
    ],
)
def test_the_home_is_found(
    environment: dict[str, str], home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_SYSTEM_HOME", Path("/nowhere"))
    assert settings.default_home(environment) == Path(home)


def test_a_child_of_ours_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PATH", "/bin")
    handed_down = settings.process_environment()
    assert "OPENAI_API_KEY" not in handed_down
    assert handed_down["PATH"] == "/bin"


@pytest.mark.parametrize("command", ["python3", "./tool", "../tool", "~/tool"])
def test_a_program_without_its_absolute_path_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(errors.SettingsInvalid, match=r"tools\.commands.*absolute path"):
        settings.load(tmp_path, {"ORLOJ_TOOLS_COMMANDS": f"/bin/true:{command}"})
