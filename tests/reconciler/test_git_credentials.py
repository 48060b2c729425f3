"""A remote is opened with what the files of the settings hold, and nobody else gets to see it.

Every test talks to a real server: git's own over https, the host's own sshd. A secret is a
canary; where it may not be is read while git is waiting for its answer.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import git_servers
import pytest
from git_servers import HttpsServer, SshServer
from repository import Repository

from reconciler.git.authorship import Authorship
from reconciler.git.source import GitSource
from runner.contract import errors
from runner.contract.settings import Settings
from runner.contract.source_settings import Source

TOKEN = "right-canary"
needs_sshd = pytest.mark.skipif(
    bool(git_servers.sshd_missing()), reason=git_servers.sshd_missing()
)
needs_other_users = pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")


@pytest.fixture
def web(tmp_path: Path, repository: Repository) -> Iterator[HttpsServer]:
    with git_servers.https_server(tmp_path / "tls", repository.origin) as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path, repository: Repository) -> Iterator[SshServer]:
    with git_servers.ssh_server(tmp_path / "ssh", repository.origin) as server:
        yield server


def written(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_text(text)
    file.chmod(mode)
    return file


def source(url: str, folder: Path, **more: Any) -> GitSource:
    settings = Source(**{name: str(value) for name, value in more.items()})
    return GitSource(url, "main", "", folder / "source", 20.0, more=settings)


def opened(web: HttpsServer, folder: Path, **more: Any) -> GitSource:
    """A source that has all that the https server wants, but for what the test says."""
    files = {"token_file": folder / "token", "ca_file": web.authority}
    return source(web.url, folder, **files | more)


def refused(following: GitSource) -> errors.SourceError:
    with pytest.raises(errors.SourceError) as caught:
        following.resolve()
    assert TOKEN not in str(caught.value)
    return caught.value


# https


def test_a_token_opens_a_repository_over_https(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    written(tmp_path, f"{TOKEN}\n")
    following = opened(web, tmp_path)
    following.fetch(following.resolve())
    assert [file.path for file in following.tree(commit).files] == ["a.yaml"]


def test_a_token_is_seen_by_no_other_user_while_git_runs(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    written(tmp_path)
    seen: list[bytes] = []

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    seen.append((process / name).read_bytes())
                except OSError:
                    continue  # It is over, or another user's.

    web.during = look
    opened(web, tmp_path).fetch(commit)
    assert any(b"remote-https" in text for text in seen), "git was seen while it waited"
    assert not [text for text in seen if TOKEN.encode() in text]
    assert not [text for text in seen if b"Authorization" in text]
    config = tmp_path / "source" / "config"
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.parent.stat().st_mode & 0o777 == 0o700


def test_a_wrong_token_stalls_and_says_where_to_look(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("a")
    written(tmp_path, "wrong-canary")
    error = refused(opened(web, tmp_path))
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "AuthenticationFailed"
    assert "source.token_file" in str(error)
    assert "wrong-canary" not in str(error)


def test_a_rotated_token_is_used_at_the_next_look(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    written(tmp_path)
    following = opened(web, tmp_path)
    assert following.resolve() == commit
    web.token = "rotated-canary"
    assert refused(following).reason == "AuthenticationFailed"
    written(tmp_path, "rotated-canary")
    assert following.resolve() == commit
    assert TOKEN not in (tmp_path / "source" / "config").read_text()


def test_the_user_name_goes_with_the_token(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    written(tmp_path)
    web.username = "deploy+orloj"
    assert refused(opened(web, tmp_path)).reason == "AuthenticationFailed"
    assert opened(web, tmp_path, username="deploy+orloj").resolve() == commit


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (None, 0, "cannot be read (No such file or directory)"),
        ("", 0o600, "is empty"),
        (" \n", 0o600, "is empty"),
        ("two words", 0o600, "one line"),
        ("one\ntwo", 0o600, "one line"),
        ("x" * 9000, 0o600, "one line"),
        (TOKEN, 0o644, "is open to other users: chmod 600"),
        (TOKEN, 0o660, "is open to other users: chmod 600"),
    ],
    ids=["missing", "empty", "blank", "words", "lines", "long", "readable", "writable"],
)
def test_a_token_file_that_cannot_be_used_is_one_clear_error(
    text: str | None,
    mode: int,
    words: str,
    web: HttpsServer,
    tmp_path: Path,
    repository: Repository,
) -> None:
    repository.manifest("a")
    written(tmp_path)
    following = opened(web, tmp_path)
    following.resolve()
    asked = len(web.requests)
    if text is None:
        (tmp_path / "token").unlink()
    else:
        written(tmp_path, text, mode)
    error = refused(following)
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "CredentialsUnusable"
    assert str(error).startswith(f"source.token_file {tmp_path / 'token'}")
    assert words in str(error)
    assert len(web.requests) == asked, "the remote is not asked"
    assert not (tmp_path / "source" / "config").exists(), "the old token is not kept"


def test_a_token_that_only_its_group_may_read_is_taken(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    written(tmp_path, mode=0o640)
    assert opened(web, tmp_path).resolve() == commit


def test_a_server_that_nobody_vouches_for_gets_no_token(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("a")
    written(tmp_path)
    error = refused(source(web.url, tmp_path, token_file=tmp_path / "token"))
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "CertificateRefused"
    assert "source.ca_file" in str(error)
    assert web.requests == []


def test_a_redirect_carries_the_token_to_no_other_server(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("a")
    written(tmp_path)
    with git_servers.https_server(tmp_path / "tls2", repository.origin) as other:
        authorities = tmp_path / "both.pem"
        authorities.write_bytes(web.authority.read_bytes() + other.authority.read_bytes())
        web.redirect = other.url.rpartition("/")[0]
        error = refused(opened(web, tmp_path, ca_file=authorities))
        assert other.requests == []
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "Redirected"
    assert "set source.url" in str(error)


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        ("ssh://git@127.0.0.1/x", {"token_file": "/t"}, "source.token_file is for https://"),
        ("/srv/x.git", {"ca_file": "/t"}, "source.ca_file is for https://"),
        ("https://127.0.0.1/x", {"ssh_key_file": "/t"}, "source.ssh_key_file is for ssh://"),
        ("https://u:p@127.0.0.1/x", {"token_file": "/t"}, "source.url names a user"),
        ("https://127.0.0.1/x", {"token_file": "token"}, "must be an absolute path"),
        ("https://127.0.0.1/x", {"token_file": "/t", "username": "a:b"}, "source.username"),
        ("ssh://git@127.0.0.1/x", {"known_hosts_file": "/a b"}, "must be an absolute path"),
        ("ssh://git@127.0.0.1/x", {"ssh_key_file": "/a$(id)"}, "must be an absolute path"),
    ],
)
def test_what_does_not_fit_the_url_is_said_before_anything_is_asked(
    url: str, more: dict[str, str], words: str, tmp_path: Path
) -> None:
    error = refused(source(url, tmp_path, **more))
    assert error.reason == "CredentialsUnusable"
    assert words in str(error)


@needs_other_users
def test_a_token_that_this_user_may_not_read_is_said_so(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    written(tmp_path, mode=0o200)
    assert refused(opened(web, tmp_path)).reason == "CredentialsUnusable"


def test_who_reads_only_the_mirror_leaves_the_token_of_the_daemon_alone(
    web: HttpsServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    token = written(tmp_path)
    settings = Source(url=web.url, token_file=str(token), ca_file=str(web.authority))
    following = GitSource(web.url, "main", "", tmp_path / "git", 20.0, more=settings)
    following.fetch(commit)
    token.unlink()
    reader = Authorship(Settings(home=tmp_path, source=settings))
    assert reader.of_line(commit, "a.yaml:1")[0].email == "ada@example.com"
    assert (tmp_path / "git" / "config").exists()


# ssh


def with_key(shell: SshServer, folder: Path, **more: Any) -> GitSource:
    files = {"ssh_key_file": shell.key, "known_hosts_file": shell.hosts}
    return source(shell.url, folder, **files | more)


@needs_sshd
def test_a_key_opens_a_repository_over_ssh(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    following = with_key(shell, tmp_path)
    following.fetch(following.resolve())
    assert [file.path for file in following.tree(commit).files] == ["a.yaml"]


@needs_sshd
def test_another_key_is_refused_and_stalls(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    (shell.folder / "authorized").write_text("")
    error = refused(with_key(shell, tmp_path))
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "AuthenticationFailed"
    assert "source.ssh_key_file" in str(error)


@needs_sshd
def test_a_server_whose_host_key_changed_is_refused(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    following = with_key(shell, tmp_path)
    assert following.resolve() == commit
    shell.change_host_key()
    error = refused(following)
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "HostKeyRefused"
    assert "its host key is not the one that is known" in str(error)
    assert "source.known_hosts_file" in str(error)
    shell.write_hosts()
    assert following.resolve() == commit


@needs_sshd
def test_a_server_that_nobody_knows_is_refused_and_not_written_down(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    shell.hosts.write_text("")
    error = refused(with_key(shell, tmp_path))
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "HostKeyRefused"
    assert "ssh-keyscan" in str(error)
    assert shell.hosts.read_text() == ""


@needs_sshd
def test_a_missing_known_hosts_file_says_how_to_make_it(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    shell.hosts.unlink()
    error = refused(with_key(shell, tmp_path))
    assert isinstance(error, errors.SourceStalled)
    assert error.reason == "CredentialsUnusable"
    assert "make it with ssh-keyscan" in str(error)


@needs_sshd
def test_a_private_key_that_others_may_read_is_refused(
    shell: SshServer, tmp_path: Path, repository: Repository
) -> None:
    shell.key.chmod(0o640)
    error = refused(with_key(shell, tmp_path))
    assert error.reason == "CredentialsUnusable"
    assert f"chmod 600 {shell.key}" in str(error)
