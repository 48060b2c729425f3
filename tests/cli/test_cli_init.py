"""The announcement's own steps work as typed, and `orloj init` overwrites nothing."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from runner.contract import settings

SEED = Path(__file__).parents[1] / "data/seed_agent.yaml"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A person who never told git their name."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(tmp_path)


def test_init_makes_a_repository_with_one_commit_and_nothing_left_to_commit(
    orloj, tmp_path: Path
) -> None:
    done = orloj("init", "my-project")
    folder = tmp_path / "my-project"
    assert done.code == 0, done.err
    assert git(folder, "rev-list", "--count", "main") == "1"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "-1", "--format=%an") == "orloj"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "my-project"]


def test_the_agent_is_the_one_of_the_announcement_under_a_line_for_editors(
    orloj, tmp_path: Path
) -> None:
    orloj("init", "p")
    first, rest = (tmp_path / "p/agent.yaml").read_text().split("\n", 1)
    assert rest == SEED.read_text()
    schema = tmp_path / "p" / first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(schema.read_text())["$schema"].startswith("https://json-schema.org/")


def test_the_home_now_reconciles_it(orloj, tmp_path: Path) -> None:
    done = orloj("init", 'we "ird')
    loaded = settings.load(tmp_path / "home", {})
    assert loaded.source.url == str(tmp_path / 'we "ird')
    assert "orloj.toml" in done.out
    assert (loaded.files / "documents/welcome.md").is_file()


@pytest.mark.parametrize(
    "text",
    ['[source]\nurl = "/srv/other.git"\n', '[source]\nref = "prod"\n'],
    ids=["other-source", "source-without-url"],
)
def test_settings_that_name_a_source_are_left_alone(orloj, tmp_path: Path, text: str) -> None:
    path = tmp_path / "home" / settings.FILE_NAME
    path.parent.mkdir()
    path.write_text(text)
    done = orloj("init", "p")
    assert done.code == 0
    assert path.read_text() == text
    assert "was left alone" in done.out
    assert f'\n  [source]\n  url = "{tmp_path / "p"}"\n' in done.out
    assert "\n  orloj apply -f p/agent.yaml\n" in done.out


def test_inside_a_hook_of_another_repository_only_the_new_one_gets_a_commit(
    orloj, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    assert orloj("init", "p").code == 0
    monkeypatch.delenv("GIT_DIR")
    assert git(tmp_path / "p", "rev-list", "--count", "main") == "1"
    assert git(tmp_path / "other", "rev-list", "--count", "--all") == "0"


def test_other_settings_stay_when_the_source_is_added(orloj, tmp_path: Path) -> None:
    path = tmp_path / "home" / settings.FILE_NAME
    path.parent.mkdir()
    path.write_text("# mine\n[runner]\nworkers = 2\n")
    orloj("init", "p")
    assert path.read_text().startswith("# mine\n[runner]\nworkers = 2\n")
    loaded = settings.load(tmp_path / "home", {})
    assert (loaded.workers, loaded.source.url) == (2, str(tmp_path / "p"))


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_nothing_is_overwritten(orloj, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "taken"
    if kind == "folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "elsewhere")
    done = orloj("init", "taken")
    assert done.code == 1
    assert "choose another name" in done.err
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "home" / settings.FILE_NAME).exists()
    assert not (target / "agent.yaml").exists()


def test_without_git_it_says_so_and_leaves_nothing(
    orloj, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    done = orloj("init", "p")
    assert done.code == 1
    assert "git is not installed" in done.err
    assert list(tmp_path.iterdir()) == []


def test_the_announcements_steps_work_as_typed(
    orloj, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert orloj("init", "my-project").code == 0
    applied = orloj("apply", "-f", "agent.yaml", "--yes")
    assert applied.code == 0, applied.out + applied.err
    status = orloj("status")
    assert status.code == 0
    assert "Agent" in status.out
    assert "my-project" in status.out
    monkeypatch.chdir(tmp_path / "my-project")
    assert orloj("apply", "-f", "agent.yaml", "--yes").code == 0


def test_what_init_writes_is_valid(orloj) -> None:
    orloj("init", "p")
    done = orloj("validate", "p")
    assert done.code == 0, done.out + done.err
