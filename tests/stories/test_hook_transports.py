"""A push shows its plan over every transport, and knows who pushes as that one can."""

import pwd
from collections.abc import Iterator
from pathlib import Path

import push_servers
import pytest
from pushing import Pushing, agent

pytestmark = pytest.mark.story


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    made = Pushing(tmp_path, approval="always")
    yield made
    made.close()


def approve_over(pushing: Pushing, url: str, **env: str) -> str:
    """Push, read the plan, approve it; who the log says did."""
    commit = pushing.change({"a.yaml": agent("a")})
    waiting = pushing.push(to=url, **env)
    assert (waiting.code, pushing.stands()) == (1, ""), waiting.output
    assert "Plan: " not in waiting.lines[0]
    assert f"To push exactly this: git push -o approve={waiting.plan}" in waiting.lines
    pushed = pushing.push("-o", f"approve={waiting.plan}", to=url, **env)
    assert (pushed.code, pushing.stands()) == (0, commit), pushed.output
    assert pushing.orloj("reconcile").returncode == 0
    assert pushing.names() == ["a"]
    (entry,) = pushing.overrides()
    return str(entry["actor"])


def test_over_ssh_the_account_pushes(pushing: Pushing) -> None:
    if reason := push_servers.missing_sshd():
        pytest.skip(reason)
    with push_servers.ssh_server(pushing.folder / "ssh") as (base, env):
        actor = approve_over(pushing, f"{base}{pushing.repository.origin}", **env)
    assert actor == f"person:{pwd.getpwuid(pushing.home.stat().st_uid).pw_name}"


def test_over_http_whoever_logged_in_pushes(pushing: Pushing) -> None:
    with push_servers.http_server(pushing.folder) as port:
        login = f"dana:{push_servers.PASSWORD}"
        actor = approve_over(pushing, f"http://{login}@127.0.0.1:{port}/origin.git")
        broken = agent("b").replace("model", "modle")
        pushing.change({"b.yaml": broken})
        refused = pushing.push(to=f"http://{login}@127.0.0.1:{port}/origin.git")
    assert actor == "person:dana"
    assert "b.yaml:6:3: error: unknown field `modle`" in refused.lines


def test_a_file_url_is_a_local_push(pushing: Pushing) -> None:
    account = pwd.getpwuid(pushing.home.stat().st_uid).pw_name
    actor = approve_over(pushing, f"file://{pushing.repository.origin}", REMOTE_USER="mallory")
    assert actor == f"person:{account}"


def test_a_git_host_names_the_pusher_in_its_own_variable(pushing: Pushing) -> None:
    origin = str(pushing.repository.origin)
    done = pushing.orloj("hook", "install", origin, "--pusher-from", "GL_USERNAME")
    assert done.returncode == 0, done.stderr
    pushing.change({"a.yaml": agent("a")})
    unnamed = pushing.push()
    assert (unnamed.code, pushing.stands()) == (1, "")
    assert "does not say in GL_USERNAME who pushes" in unnamed.words
    assert approve_over(pushing, origin, GL_USERNAME="dana") == "person:dana"
