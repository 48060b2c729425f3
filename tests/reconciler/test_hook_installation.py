"""The hook comes and goes without touching what somebody else put there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import Pushing, agent

from reconciler.push import followed
from reconciler.push.installation import Hook, HookFolder, Presence
from runner.contract import errors

THEIRS = "#!/bin/sh\ncat >>seen\necho theirs >&2\n"


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    made = Pushing(tmp_path)
    made.hooks.uninstall()
    yield made
    made.close()


def put(pushing: Pushing, text: str) -> Path:
    file = pushing.hooks.file
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_it_is_installed_once_and_goes_without_a_trace(pushing: Pushing) -> None:
    hooks, config = pushing.hooks, pushing.repository.origin / "config"
    before = (
        sorted(hooks.file.parent.iterdir()),
        pushing.git("config", "--list", "-f", str(config)),
    )
    assert hooks.presence(pushing.hook) is Presence.ABSENT
    hooks.install(pushing.hook, chain=False)
    text = hooks.file.read_bytes()
    hooks.install(pushing.hook, chain=False)
    assert hooks.file.read_bytes() == text
    assert hooks.presence(pushing.hook) is Presence.OURS
    assert hooks.push_options
    assert hooks.file.stat().st_mode & 0o777 == 0o755
    assert hooks.uninstall()
    after = (
        sorted(hooks.file.parent.iterdir()),
        pushing.git("config", "--list", "-f", str(config)),
    )
    assert after == before
    assert not hooks.uninstall()


def test_push_options_that_were_on_before_stay_on(pushing: Pushing) -> None:
    config = str(pushing.repository.origin / "config")
    pushing.git("config", "-f", config, "receive.advertisePushOptions", "true")
    for _ in range(2):
        pushing.hooks.install(pushing.hook, chain=False)
    assert pushing.hooks.uninstall()
    assert pushing.hooks.push_options


def test_somebody_elses_hook_is_neither_overwritten_nor_removed(pushing: Pushing) -> None:
    file = put(pushing, THEIRS)
    with pytest.raises(errors.Refused, match="stays as it is"):
        pushing.hooks.install(pushing.hook, chain=False)
    assert not pushing.hooks.uninstall()
    assert file.read_text() == THEIRS
    assert pushing.hooks.presence(pushing.hook) is Presence.FOREIGN


def test_a_chained_hook_runs_first_sees_the_same_and_comes_back(pushing: Pushing) -> None:
    file = put(pushing, THEIRS)
    pushing.hooks.install(pushing.hook, chain=True)
    assert pushing.hooks.presence(pushing.hook) is Presence.OURS
    pushing.hooks.install(pushing.hook, chain=False)
    commit = pushing.change({"a.yaml": agent("a")})
    pushed = pushing.push()
    assert pushed.code == 0, pushed.output
    assert pushed.lines[0] == "theirs"
    assert pushed.plan
    seen = (pushing.repository.origin / "seen").read_text()
    assert seen == f"{'0' * 40} {commit} refs/heads/main\n"
    assert pushing.hooks.uninstall()
    assert file.read_text() == THEIRS


def test_a_chained_hook_that_refuses_refuses(pushing: Pushing) -> None:
    put(pushing, "#!/bin/sh\ncat >/dev/null\nexit 3\n")
    pushing.hooks.install(pushing.hook, chain=True)
    pushing.change({"a.yaml": agent("a")})
    pushed = pushing.push()
    assert pushed.code == 1
    assert "Plan" not in pushed.words
    assert pushing.stands() == ""


def test_another_home_interpreter_or_source_is_another_hook(pushing: Pushing) -> None:
    pushing.hooks.install(pushing.hook, chain=False)
    for change in (
        {"python": "/x"},
        {"home": Path("/x")},
        {"source": "x"},
        {"pusher_from": "X"},
    ):
        fields = {"python": pushing.hook.python, "home": pushing.home, "source": "default"}
        assert pushing.hooks.presence(Hook(**(fields | change))) is Presence.OTHER
    pushing.hooks.file.chmod(0o644)
    assert pushing.hooks.presence(pushing.hook) is Presence.OTHER


def test_the_script_is_a_sound_shell_program_whatever_the_names_hold(tmp_path: Path) -> None:
    odd = Hook(
        python="/a b/$(touch x)/py'thon", home=Path('/h"`x`'), source="s", pusher_from="GL"
    )
    for chained in (False, True):
        file = tmp_path / "script"
        file.write_text(odd.script(chained=chained))
        done = subprocess.run(
            ["sh", str(file)], cwd=tmp_path, input="", capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: refused, since Orloj is gone from {odd.python}.")
        assert not (tmp_path / "x").exists()


def test_hooks_that_git_looks_for_elsewhere_are_said_to_be(pushing: Pushing) -> None:
    config = str(pushing.repository.origin / "config")
    pushing.git("config", "-f", config, "core.hooksPath", "/srv/hooks")
    with pytest.raises(errors.Refused, match="/srv/hooks"):
        HookFolder(pushing.repository.origin, pushing.folder / "git")


def test_only_a_bare_repository_takes_a_hook(pushing: Pushing) -> None:
    with pytest.raises(errors.Refused, match="has a working tree"):
        HookFolder(pushing.repository.work / ".git", pushing.folder / "git")
    with pytest.raises(errors.Refused, match="is no Git repository"):
        HookFolder(pushing.folder, pushing.folder / "git")


def test_the_source_names_the_repository_by_any_of_its_paths(pushing: Pushing) -> None:
    origin = pushing.repository.origin
    link = pushing.folder / "link.git"
    link.symlink_to(origin)
    for url in (str(origin), f"file://{origin}", str(origin.with_suffix("")), str(link)):
        assert followed.names(url, origin) is True
    assert followed.names(str(pushing.folder / "other.git"), origin) is False
    assert followed.names("ssh://git@example.com/x.git", origin) is None


def test_the_commands_say_what_they_did_and_what_to_do_next(pushing: Pushing) -> None:
    origin = str(pushing.repository.origin)
    absent = pushing.orloj("hook", "status", origin)
    assert (absent.returncode, "absent" in absent.stdout) == (1, True)
    assert f"Next: orloj hook install {origin}" in absent.stdout
    installed = pushing.orloj("hook", "install", origin)
    assert (installed.returncode, installed.stderr) == (0, "")
    assert installed.stdout.endswith("Next, from a clone: git push -o plan-only\n")
    shown = pushing.orloj("hook", "show").stdout.replace("with it:", "with it: x.y")
    settings = "receive.advertisePushOptions receive.fsckObjects"
    assert pushing.hooks.file.read_text().replace(settings, "x.y") == shown
    assert pushing.orloj("hook", "status", origin, "--json").returncode == 0


def test_a_repository_that_is_not_followed_gets_no_hook(pushing: Pushing) -> None:
    pushing.configure(url=str(pushing.folder / "other.git"))
    refused = pushing.orloj("hook", "install", str(pushing.repository.origin))
    assert refused.returncode == 1
    assert "and not" in refused.stderr
    assert pushing.hooks.presence(pushing.hook) is Presence.ABSENT


def test_settings_that_a_push_would_not_see_are_refused(pushing: Pushing) -> None:
    refused = pushing.orloj(
        "hook", "install", str(pushing.repository.origin), ORLOJ_SOURCE_APPROVAL="always"
    )
    assert refused.returncode == 1
    assert "a push does not see it" in refused.stderr
