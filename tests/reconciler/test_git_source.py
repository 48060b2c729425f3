"""Whatever a ref, a URL or a commit says, git runs nothing for it and nothing looks empty.

Every test talks to a real repository through real git. "Nothing ran" is a canary file that
the hostile text would have made.
"""

import os
import shutil
import threading
from pathlib import Path

import pytest
from repository import Repository, git

from reconciler.git import address as git_address
from reconciler.git.command import GitCommand
from reconciler.git.mirror import Mirror
from reconciler.git.source import BLOB_BYTES_MAX, FILES_MAX, GitSource
from runner.contract import errors

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


def source(
    repository: Repository | str, folder: Path, ref: str = "main", path: str = ""
) -> GitSource:
    url = repository if isinstance(repository, str) else repository.url
    return GitSource(url, ref, path, folder / "source", 10.0)


def followed(repository: Repository, folder: Path, path: str = "") -> tuple[GitSource, str]:
    """A source that has fetched the newest commit."""
    following = source(repository, folder, path=path)
    commit = following.resolve()
    following.fetch(commit)
    return following, commit


# Hostile text.


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch {canary}",
        "-u touch {canary}",
        "ext::sh -c touch% {canary}",
        "EXT::sh -c touch% {canary}",
        "ext::sh%20-c%20touch%20{canary}",
        "fd::7",
        "ssh://-oProxyCommand=touch {canary}/x",
        "ssh://-oProxyCommand=touch%20{canary}/x",
        "ssh://-oProxyCommand=touch@host/x",
        "-oProxyCommand=touch {canary}",
        "git@-oProxyCommand=touch:x",
        "git@host:x.git",
        "HTTPS://host/x",
        "http://host/x",
        "git://host/x",
        "file://host/x",
        "https://host/x\n--upload-pack=touch {canary}",
        "https://host/x?--upload-pack=touch",
        "https:///x",
        "https://host:99999/x",
        "ssh://host",
        "../relative",
        "relative",
        "~/home",
        "$HOME/x",
        "/",
        "",
        "/x\0y",
        "/x\x1b[2J",
        "/" + "x" * 2000,
    ],
)
def test_a_url_of_no_allowed_form_is_refused_before_git_sees_it(
    url: str, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"

    with pytest.raises(errors.SourceStalled) as refused:
        source(url.format(canary=canary), tmp_path).resolve()

    assert refused.value.reason == "UrlInvalid"
    assert str(refused.value).isprintable()
    assert not canary.exists()


@pytest.mark.parametrize(
    "ref",
    [
        "--upload-pack=touch {canary}",
        "-x",
        "refs/heads/-x",
        "refs/tags/--output={canary}",
        "main\n--upload-pack=touch {canary}",
        "main\n",
        "refs/heads/a..b",
        "refs/heads/../../x",
        "refs/heads/a.lock",
        "refs/heads/.a",
        "refs/heads/a//b",
        "refs/heads/a/",
        "refs/heads/a@{{1}}",
        "refs/heads/*",
        "refs/orloj/applied/x",
        "refs/heads/a b",
        "refs/heads/a:b",
        "refs/heads/ä",
        "",
        "x" * 201,
    ],
)  # fmt: skip
def test_a_ref_that_is_no_branch_or_tag_name_is_refused(
    ref: str, tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    canary = tmp_path / "canary"

    with pytest.raises(errors.SourceStalled) as refused:
        source(repository, tmp_path, ref.format(canary=canary)).resolve()

    assert refused.value.reason == "RefInvalid"
    assert str(refused.value).isprintable()
    assert not canary.exists()


@pytest.mark.parametrize(
    "path",
    ["..", "a/../b", "a//b", "./a", "a/.", "a\nb", "a\0b", "x" * 2000],
    ids=["up", "inside", "double", "here", "end", "newline", "nul", "long"],
)
def test_a_folder_that_is_not_inside_the_repository_is_refused(
    path: str, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    following = source(repository, tmp_path, path=path)

    with pytest.raises(errors.SourceStalled) as refused:
        following.tree(commit)

    assert refused.value.reason == "PathInvalid"


@pytest.mark.parametrize("path", [":(exclude)x", "--output=x", "*", "a b", "ä"])
def test_a_folder_with_a_name_that_git_reads_as_a_pattern_is_a_folder(
    path: str, tmp_path: Path, repository: Repository
) -> None:
    repository.write(f"{path}/one.yaml", "1")
    repository.write("other/two.yaml", "2")
    first = repository.commit("Write a folder with a strange name")
    repository.write(f"{path}/one.yaml", "changed")
    repository.write("other/two.yaml", "changed")
    repository.commit("Change both")
    repository.push()
    following, commit = followed(repository, tmp_path, path)

    assert [file.path for file in following.tree(commit).files] == [f"{path}/one.yaml"]
    assert [change.path for change in following.changes(first, commit).changes] == [
        f"{path}/one.yaml"
    ]


def test_a_child_sees_the_environment_that_was_built_and_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "CANARY_TOKEN",
        "GIT_TRACE",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "https_proxy",
    ):
        monkeypatch.setenv(name, "leaked-canary")

    command = GitCommand(git_address.parse("https://host/x"), tmp_path / "source", 10.0)
    seen = command.seen_environment().decode().splitlines()

    assert sorted(line.partition("=")[0] for line in seen) == [
        "GIT_ALLOW_PROTOCOL",
        "GIT_ASKPASS",
        "GIT_CEILING_DIRECTORIES",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_GRAFT_FILE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NO_LAZY_FETCH",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OPTIONAL_LOCKS",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_TERMINAL_PROMPT",
        "HOME",
        "LC_ALL",
        "PATH",
        "SSH_ASKPASS",
    ]
    assert "leaked-canary" not in "".join(seen)
    assert "GIT_CONFIG_GLOBAL=/dev/null" in seen


def test_what_git_starts_for_a_remote_sees_no_variable_of_ours(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.manifest("one")
    canary = tmp_path / "trace"
    # upload-pack is a process of its own, which would write its trace into this file.
    monkeypatch.setenv("GIT_TRACE", str(canary))
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(canary))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'uploadpack.hideRefs'='refs'")

    followed(repository, tmp_path)

    assert not canary.exists()


def test_a_password_leaves_the_url_for_a_file_that_only_we_can_read(tmp_path: Path) -> None:
    address = git_address.parse("https://robot:s3cr%40et@host:8443/team/x.git")
    GitCommand(address, tmp_path / "source", 10.0)
    file = tmp_path / "source" / "config"

    assert address.url == "https://host:8443/team/x.git"
    assert "s3cr" not in repr(address)
    assert file.stat().st_mode & 0o777 == 0o600
    header = git("config", "--file", str(file), "--get-urlmatch", "http.extraHeader",
                 address.url, folder=tmp_path)  # fmt: skip
    assert header.decode().strip() == "Authorization: Basic cm9ib3Q6czNjckBldA=="

    GitCommand(git_address.parse("https://host:8443/team/x.git"), tmp_path / "source", 10.0)
    assert not file.exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://robot:hunter2@127.0.0.1:9/x.git",
        "https://hunter2@127.0.0.1:9/x.git",
        "ssh://robot:hunter2@127.0.0.1:9/x.git",
        "git@hunter2@host:x",
        "ftp://robot:hunter2@host/x",
        "ftp://robot:hun/ter2@host/x",
    ],
)
def test_no_message_holds_a_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(errors.SourceError) as refused:
        source(url, tmp_path).resolve()

    assert "hunter2" not in str(refused.value)
    assert "ter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("no https://robot:hunter2@host/x here", "no https://host/x here"),
        ("https://token@host and ssh://a:b@c", "https://host and ssh://c"),
        ("fatal:\x1b[2J \u202e two\nlines\t.", "fatal: [2J two lines ."),
        ("x" * 1000, "x" * 300),
    ],
    ids=["password", "token", "terminal", "length"],
)
def test_words_of_a_server_are_one_plain_line_without_a_password(
    words: str, shown: str
) -> None:
    assert git_address.plain(words) == shown


def test_a_hook_in_the_mirror_does_not_run(tmp_path: Path, repository: Repository) -> None:
    repository.manifest("one")
    following, _ = followed(repository, tmp_path)
    canary = tmp_path / "canary"
    hooks = tmp_path / "source" / "mirror.git" / "hooks"
    hooks.mkdir()
    for name in ("reference-transaction", "post-update", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)

    newest = repository.manifest("two")
    following.fetch(newest)
    following.pin(newest)

    assert following.has(newest)
    assert not canary.exists()


# The remote.


def test_a_ref_is_resolved_by_its_whole_name_only(
    tmp_path: Path, repository: Repository
) -> None:
    first = repository.manifest("one")
    repository.manifest("two")
    # ls-remote matches the tail of a name, so this one answers to refs/heads/main as well.
    repository.git("push", "-q", "origin", f"{first}:refs/tags/refs/heads/main")

    assert source(repository, tmp_path).resolve() == repository.head()


def test_an_annotated_tag_is_the_commit_behind_it(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    repository.git(
        "-c", "user.name=T", "-c", "user.email=t@example.com", "tag", "-a", "-m", "One", "v1"
    )
    repository.git("push", "-q", "origin", "v1")
    following = source(repository, tmp_path, "refs/tags/v1")

    assert following.resolve() == commit
    following.fetch(commit)
    assert following.tree(commit).files


def test_a_tag_on_something_else_than_a_commit_is_refused(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    repository.git("push", "-q", "origin", f"{tree}:refs/tags/tree")
    following = source(repository, tmp_path, "refs/tags/tree")

    with pytest.raises(errors.SourceStalled) as refused:
        following.fetch(following.resolve())

    assert refused.value.reason == "RefInvalid"


def test_a_missing_ref_stalls_and_a_missing_remote_waits(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")

    with pytest.raises(errors.SourceStalled) as stalled:
        source(repository, tmp_path, "gone").resolve()
    assert stalled.value.reason == "RefNotFound"
    assert "refs/heads/gone does not exist" in str(stalled.value)

    following, commit = followed(repository, tmp_path)
    shutil.rmtree(repository.origin)
    with pytest.raises(errors.SourceWaiting) as waiting:
        following.resolve()
    assert waiting.value.reason == "RemoteUnreachable"
    assert following.tree(commit).files, "what was fetched stays readable"


def test_a_remote_that_never_answers_is_given_up_after_the_time_allowed(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "origin.git"
    pipe.mkdir()
    # A repository whose HEAD is a pipe that nobody writes to: upload-pack waits for ever.
    (pipe / "objects").mkdir()
    (pipe / "refs").mkdir()
    os.mkfifo(pipe / "HEAD")
    following = GitSource(str(pipe), "main", "", tmp_path / "source", 0.2)

    with pytest.raises(errors.SourceWaiting) as waiting:
        following.resolve()

    assert "did not finish within 0.2 s" in str(waiting.value)


def test_a_commit_that_is_gone_when_it_is_fetched_is_looked_for_again(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")

    with pytest.raises(errors.SourceWaiting) as waiting:
        source(repository, tmp_path).fetch("0123456789" * 4)

    assert waiting.value.reason == "CommitGone"


@AS_ROOT
@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
def test_root_follows_a_repository_of_another_user(
    form: str, tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    for folder, _, files in os.walk(repository.origin):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.chown(path, 65534, 65534)
    following = source(form.format(path=repository.origin), tmp_path)

    assert following.resolve() == commit
    following.fetch(commit)
    assert following.has(commit)


def test_a_repository_with_a_working_tree_and_a_name_with_quotes_is_followed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'a "b" \\c'
    folder.mkdir()
    repository = Repository(folder)
    commit = repository.manifest("one")
    following = source(str(repository.work), tmp_path)

    assert following.resolve() == commit
    following.fetch(commit)


def test_a_repository_of_the_newer_hash_is_followed(tmp_path: Path) -> None:
    repository = Repository(tmp_path, object_format="sha256")
    first = repository.manifest("one")
    following, commit = followed(repository, tmp_path)
    newest = repository.manifest("two")
    following.fetch(newest)

    assert len(commit) == 64
    assert following.is_ancestor(first, newest)
    assert [change.path for change in following.changes(first, newest).changes] == ["two.yaml"]


def test_a_pack_larger_than_the_limit_is_cut_and_stalls(
    tmp_path: Path, repository: Repository
) -> None:
    repository.write("large.bin", os.urandom(1_000_000))
    repository.commit("Write noise")
    repository.push()
    address = git_address.parse(repository.url)
    command = GitCommand(address, tmp_path / "source", 10.0, file_bytes_max=100_000)
    mirror = Mirror(command, address.url, tmp_path / "source", 10.0)

    with pytest.raises(errors.SourceStalled) as refused:
        mirror.fetch(repository.head())

    assert refused.value.reason == "TooLarge"
    assert not list((tmp_path / "source").glob("**/core*"))


def test_a_malformed_object_is_refused(tmp_path: Path, repository: Repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", given=b"x")
    # A tree with an entry named `..`, which a checkout would follow out of its folder.
    entry = b"100644 ..\0" + bytes.fromhex(blob)
    tree = repository.git(
        "hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=entry
    )
    commit = repository.git(
        "-c", "user.name=T", "-c", "user.email=t@x", "commit-tree", "-m", "Climb", tree
    )
    repository.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    following = source(repository, tmp_path)

    with pytest.raises(errors.SourceStalled) as refused:
        following.fetch(following.resolve())

    assert refused.value.reason == "ContentRefused"


def test_a_folder_that_cannot_be_used_is_said_so(
    tmp_path: Path, repository: Repository
) -> None:
    (tmp_path / "source").write_text("in the way")

    with pytest.raises(errors.SourceWaiting) as waiting:
        source(repository, tmp_path).resolve()

    assert waiting.value.reason == "FolderUnusable"


# History.


def test_a_force_push_is_seen_and_the_pinned_commit_survives_it(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("base")
    old = repository.manifest("old")
    following, _ = followed(repository, tmp_path)
    following.pin(old)
    repository.git("reset", "-q", "--hard", "HEAD~1")
    repository.write("new.yaml", "new")
    new = repository.commit("Rewrite")
    repository.push(force=True)
    git("gc", "-q", "--prune=now", folder=repository.origin)
    following.fetch(new)
    git("gc", "-q", "--prune=now", folder=tmp_path / "source" / "mirror.git")

    assert not following.is_ancestor(old, new)
    assert [file.path for file in following.tree(old).files] == ["base.yaml", "old.yaml"]
    assert following.blobs([following.tree(old).files[1].blob])
    changes = following.changes(old, new).changes
    assert {(change.path, change.new_blob is None) for change in changes} == {
        ("old.yaml", True),
        ("new.yaml", False),
    }


def test_an_old_commit_that_nobody_has_is_no_ancestor(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    following, _ = followed(repository, tmp_path)

    assert not following.is_ancestor("0" * 40, commit)
    with pytest.raises(errors.SourceWaiting):
        following.is_ancestor(commit, "0" * 40)


def test_commits_are_counted_and_described_in_plain_words(
    tmp_path: Path, repository: Repository
) -> None:
    first = repository.manifest("one")
    repository.write("two.yaml", "2")
    repository.commit("Second")
    repository.write("three.yaml", "3")
    repository.commit("Third \x1b[31mred\x1b[0m \u202eline\n\nBody", author="Eve \x07E <eve@x>")
    repository.push()
    following, commit = followed(repository, tmp_path)
    found = following.commit_info(commit)

    assert following.commit_count(first, commit) == 2
    assert found.sha == commit
    assert found.tree == repository.git("rev-parse", "HEAD^{tree}")
    assert found.subject == "Third [31mred [0m line"
    assert found.author == "Eve E <eve@x>"
    assert found.committer == "Carl Committer <carl@example.com>"
    assert found.time == int(repository.git("log", "-1", "--format=%ct")) * 1_000_000


# The tree.


def test_only_visible_yaml_files_are_manifests(tmp_path: Path, repository: Repository) -> None:
    for path in (
        "a.yaml", "agents/b.yml", "agents/deep/er/c.yaml", "README.md", "d.yaml.txt",
        ".hidden.yaml", ".github/workflows/e.yaml", "agents/.f/g.yaml", "yaml",
    ):  # fmt: skip
        repository.write(path, path)
    repository.commit("Write many")
    repository.push()
    following, commit = followed(repository, tmp_path)

    listing = following.tree(commit)
    assert [file.path for file in listing.files] == [
        "a.yaml", "agents/b.yml", "agents/deep/er/c.yaml"
    ]  # fmt: skip
    assert listing.problems == ()
    contents = following.blobs(file.blob for file in listing.files)
    assert [contents[file.blob] for file in listing.files] == [
        b"a.yaml", b"agents/b.yml", b"agents/deep/er/c.yaml"
    ]  # fmt: skip


def test_a_folder_is_followed_without_its_neighbours(
    tmp_path: Path, repository: Repository
) -> None:
    for path in ("agents/a.yaml", "agents-old/b.yaml", "c.yaml", "agents.yaml"):
        repository.write(path, path)
    repository.commit("Write neighbours")
    repository.push()
    following, commit = followed(repository, tmp_path, "agents/")

    assert [file.path for file in following.tree(commit).files] == ["agents/a.yaml"]


def test_a_hidden_folder_can_be_followed_by_its_name(
    tmp_path: Path, repository: Repository
) -> None:
    repository.write(".orloj/a.yaml", "a")
    repository.commit("Write")
    repository.push()
    following, commit = followed(repository, tmp_path, ".orloj")

    assert [file.path for file in following.tree(commit).files] == [".orloj/a.yaml"]


@pytest.mark.parametrize(
    ("path", "removed", "reason"),
    [("", "a.yaml", "EmptyTree"), ("agents", "agents/b.yaml", "PathNotFound")],
    ids=["no manifest", "no folder"],
)
def test_nothing_left_is_an_error_and_never_a_wish_to_delete_everything(
    path: str, removed: str, reason: str, tmp_path: Path, repository: Repository
) -> None:
    repository.write("README.md", "stays")
    repository.write(removed, "goes")
    first = repository.commit("Write")
    repository.push()
    following, _ = followed(repository, tmp_path, path)
    repository.remove(removed)
    newest = repository.commit("Remove all")
    repository.push()
    following.fetch(newest)

    for ask in (lambda: following.tree(newest), lambda: following.changes(first, newest)):
        with pytest.raises(errors.SourceStalled) as refused:
            ask()
        assert refused.value.reason == reason


def test_a_symlink_and_a_submodule_are_problems_that_name_their_path(
    tmp_path: Path, repository: Repository
) -> None:
    first = repository.manifest("one")
    (repository.work / "agents").mkdir()
    (repository.work / "agents" / "link.yaml").symlink_to("/etc/passwd")
    (repository.work / "folder").symlink_to("agents")
    repository.git("add", "--all")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    repository.commit("Leave the repository")
    # `add --all` of the helper drops the entry, for the folder of the submodule is not there.
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{first},module")
    repository.git("-c", "user.name=T", "-c", "user.email=t@x", "commit", "-qm", "Module")
    newest = repository.head()
    repository.push()
    following, _ = followed(repository, tmp_path)

    for found in (following.tree(newest), following.changes(first, newest)):
        assert sorted(str(problem) for problem in found.problems) == [
            "agents/link.yaml:1:1: a symbolic link is not read",
            "folder:1:1: a symbolic link is not read",
            "module:1:1: a submodule is not read",
        ]


def test_a_manifest_that_turns_into_a_symlink_is_a_problem_and_back_is_a_new_file(
    tmp_path: Path, repository: Repository
) -> None:
    repository.write("stays.yaml", "1")
    repository.write("turns.yaml", "1")
    file = repository.commit("File")
    repository.remove("turns.yaml")
    (repository.work / "turns.yaml").symlink_to("stays.yaml")
    link = repository.commit("Link")
    repository.push()
    following, _ = followed(repository, tmp_path)

    there = following.changes(file, link)
    assert [str(problem) for problem in there.problems] == [
        "turns.yaml:1:1: a symbolic link is not read"
    ]
    back = following.changes(link, file)
    assert [(change.old_blob is None, change.new_blob is None) for change in back.changes] == [
        (True, False)
    ]
    assert back.problems == ()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"caf\xe9.yaml", "caf\\xe9.yaml"),
        (b"a\nb.yaml", "a\\nb.yaml"),
        (b"a\x1b[31m.yaml", "a\\x1b[31m.yaml"),
        ("a\u202eb.yaml".encode(), "a\\u202eb.yaml"),
    ],
    ids=["not UTF-8", "newline", "escape", "right to left"],
)
def test_a_path_that_cannot_be_printed_is_a_problem_shown_with_escapes(
    path: bytes, shown: str, tmp_path: Path, repository: Repository
) -> None:
    first = repository.manifest("one")
    repository.write(path, "x")
    repository.commit("Write a strange name")
    repository.push()
    following, commit = followed(repository, tmp_path)

    for found in (following.tree(commit), following.changes(first, commit)):
        assert [problem.path for problem in found.problems] == [shown]
    assert following.changes(commit, first).problems == (), "removing it is the way out"


def test_a_path_that_no_index_takes_is_a_problem(
    tmp_path: Path, repository: Repository
) -> None:
    first = repository.manifest("one")
    folder = "/".join("f" * 100 for _ in range(10))
    repository.write(f"{folder}/{'a' * 9}.yaml", "x")
    repository.write(f"{folder}/{'b' * 10}.yaml", "x")
    repository.commit("Go deep")
    repository.push()
    following, commit = followed(repository, tmp_path)

    for found in (following.tree(commit), following.changes(first, commit)):
        assert [problem.message for problem in found.problems] == [
            "the path is longer than 1024 bytes"
        ]


def test_a_change_names_the_blobs_before_and_after(
    tmp_path: Path, repository: Repository
) -> None:
    for path in ("changed.yaml", "deleted.yaml", "same.yaml", ".hidden.yaml", "x.txt"):
        repository.write(path, "before")
    first = repository.commit("Before")
    for path in ("changed.yaml", "added.yaml", ".hidden.yaml", "x.txt"):
        repository.write(path, "after")
    repository.remove("deleted.yaml")
    repository.commit("After")
    repository.push()
    following, commit = followed(repository, tmp_path)
    before, after = (
        repository.git("hash-object", "--stdin", given=text) for text in (b"before", b"after")
    )

    assert {
        change.path: (change.old_blob, change.new_blob)
        for change in following.changes(first, commit).changes
    } == {
        "added.yaml": (None, after),
        "changed.yaml": (before, after),
        "deleted.yaml": (before, None),
    }
    assert following.changes(commit, commit).changes == ()


def test_a_manifest_that_moved_is_one_that_went_and_one_that_came(
    tmp_path: Path, repository: Repository
) -> None:
    repository.write("old.yaml", "the same long text\n" * 20)
    repository.write("stays.yaml", "x")
    first = repository.commit("Write")
    (repository.work / "old.yaml").rename(repository.work / "new.yaml")
    repository.commit("Move")
    repository.push()
    following, commit = followed(repository, tmp_path)
    changes = following.changes(first, commit).changes

    assert [(change.path, change.new_blob is None) for change in changes] == [
        ("new.yaml", False),
        ("old.yaml", True),
    ]


def test_a_blob_is_loaded_up_to_the_limit_and_not_one_byte_beyond(
    tmp_path: Path, repository: Repository
) -> None:
    repository.write("at.yaml", b"\n" * BLOB_BYTES_MAX)
    repository.write("beyond.yaml", b"\n" * (BLOB_BYTES_MAX + 1))
    repository.write("empty.yaml", b"")
    repository.commit("Write large ones")
    repository.push()
    following, commit = followed(repository, tmp_path)
    files = {file.path: file.blob for file in following.tree(commit).files}
    found = following.blobs([*files.values(), *files.values()])

    assert found == {
        files["at.yaml"]: b"\n" * BLOB_BYTES_MAX,
        files["beyond.yaml"]: None,
        files["empty.yaml"]: b"",
    }
    assert following.blobs([]) == {}


def test_more_files_than_the_limit_are_refused(tmp_path: Path, repository: Repository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", given=b"x")
    names = range(FILES_MAX + 1)
    entries = "".join(f"100644 blob {blob}\t{name:06}.yaml\n" for name in names)
    tree = repository.git("mktree", given=entries.encode())
    commit = repository.git(
        "-c", "user.name=T", "-c", "user.email=t@x", "commit-tree", "-m", "Many", tree
    )
    repository.git("push", "-q", "origin", f"{commit}:refs/heads/main")
    following, _ = followed(repository, tmp_path)

    with pytest.raises(errors.SourceStalled) as refused:
        following.tree(commit)

    assert refused.value.reason == "TooLarge"


# The mirror.


def test_the_mirror_is_ours_alone_and_holds_no_working_tree(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    followed(repository, tmp_path)
    folder = tmp_path / "source"

    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.iterdir()) == [
        "config", "home", "lock", "mirror.git"
    ]  # fmt: skip
    assert list((folder / "home").iterdir()) == []
    assert not (folder / "mirror.git" / "hooks").exists()
    assert not (folder / "mirror.git" / "FETCH_HEAD").exists()


def test_the_mirror_stands_alone_when_the_remote_borrows_its_objects(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    shared = tmp_path / "shared.git"
    git(
        "clone",
        "-q",
        "--bare",
        "--shared",
        str(repository.origin),
        str(shared),
        folder=tmp_path,
    )
    assert (shared / "objects" / "info" / "alternates").exists()
    following = source(str(shared), tmp_path)
    following.fetch(following.resolve())
    shutil.rmtree(shared)
    shutil.rmtree(repository.origin)

    (file,) = following.tree(commit).files
    assert following.blobs([file.blob])[file.blob] == b"name: one\ntext: x\n"
    assert not (tmp_path / "source/mirror.git/objects/info/alternates").exists()


def test_many_fetch_at_once_and_all_of_them_succeed(
    tmp_path: Path, repository: Repository
) -> None:
    commits = [repository.manifest(name) for name in ("one", "two", "three", "four")]
    failed: list[BaseException] = []
    ready = threading.Barrier(len(commits) * 2)

    def fetch(commit: str) -> None:
        following = source(repository, tmp_path)
        ready.wait()
        try:
            following.fetch(commit)
            assert following.tree(commit).files
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=fetch, args=(commit,)) for commit in commits * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def broken_object(mirror: Path) -> None:
    """Make every object of the mirror unreadable, as a disk does."""
    for file in (*mirror.glob("objects/??/*"), *mirror.glob("objects/pack/*.pack")):
        file.chmod(0o600)
        file.write_bytes(b"garbage" * 10)


def damage_blob(mirror: Path, blob: str) -> None:
    """Make one object unreadable, which nothing notices before it is read."""
    for number, pack in enumerate(list(mirror.glob("objects/pack/*.pack"))):
        away = mirror.parent.parent / f"{number}.pack"
        pack.rename(away)
        pack.with_suffix(".idx").unlink()
        git("unpack-objects", "-q", folder=mirror, given=away.read_bytes())
    loose = mirror / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o600)
    loose.write_bytes(b"garbage")


def head_lost(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


def all_lost(mirror: Path) -> None:
    shutil.rmtree(mirror)


def reference_torn(mirror: Path) -> None:
    (mirror / "refs" / "orloj" / "fetched").write_bytes(b"\0" * 41)


@pytest.mark.parametrize(
    "damage",
    [broken_object, head_lost, all_lost, reference_torn],
    ids=lambda made: made.__name__,
)
def test_a_broken_mirror_is_made_anew(damage, tmp_path: Path, repository: Repository) -> None:
    repository.manifest("one")
    following, _ = followed(repository, tmp_path)
    damage(tmp_path / "source" / "mirror.git")
    newest = repository.manifest("two")

    following.fetch(newest)

    files = following.tree(newest).files
    assert [file.path for file in files] == ["one.yaml", "two.yaml"]
    assert None not in following.blobs(file.blob for file in files).values()


def test_a_commit_that_came_without_its_tree_is_fetched_again(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    following, _ = followed(repository, tmp_path)
    newest = repository.manifest("two")
    # What a fetch leaves that is killed half way: the commit comes before what it names.
    raw = git("cat-file", "commit", newest, folder=repository.work)
    mirror = tmp_path / "source" / "mirror.git"
    git("hash-object", "-w", "-t", "commit", "--stdin", folder=mirror, given=raw)
    assert following.has(newest)

    following.fetch(newest)

    assert [file.path for file in following.tree(newest).files] == ["one.yaml", "two.yaml"]


def test_a_blob_that_is_damaged_later_is_found_on_reading_and_brought_again(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("one")
    following, _ = followed(repository, tmp_path)
    (file,) = following.tree(commit).files
    damage_blob(tmp_path / "source" / "mirror.git", file.blob)

    with pytest.raises(errors.SourceWaiting) as waiting:
        following.blobs([file.blob])
    assert waiting.value.reason == "MirrorUnreadable"
    following.fetch(commit)

    assert following.blobs([file.blob])[file.blob] == b"name: one\ntext: x\n"
    assert (tmp_path / "source" / "mirror.broken").is_dir(), "kept for a person to look at"


def test_the_broken_mirror_stays_while_the_remote_is_down(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    following, commit = followed(repository, tmp_path)
    mirror = tmp_path / "source" / "mirror.git"
    head_lost(mirror)
    shutil.rmtree(repository.origin)

    with pytest.raises(errors.SourceWaiting) as waiting:
        following.fetch(commit)

    assert waiting.value.reason == "RemoteUnreachable"
    assert mirror.is_dir()


def test_pins_are_saved_from_a_mirror_that_is_replaced(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("base")
    old = repository.manifest("old")
    following, _ = followed(repository, tmp_path)
    following.pin(old)
    repository.git("reset", "-q", "--hard", "HEAD~1")
    repository.write("new.yaml", "new")
    new = repository.commit("Rewrite")
    repository.push(force=True)
    following.fetch(new)
    (file,) = (file for file in following.tree(new).files if file.path == "new.yaml")
    damage_blob(tmp_path / "source" / "mirror.git", file.blob)
    with pytest.raises(errors.SourceWaiting):
        following.blobs([file.blob])

    following.fetch(new)

    assert following.blobs([file.blob])[file.blob] == b"new"
    assert following.has(old), "the remote has forgotten it, the pin has not"


def test_what_a_killed_git_left_behind_is_swept_when_it_is_old(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("one")
    following, _ = followed(repository, tmp_path)
    mirror = tmp_path / "source" / "mirror.git"
    pack = mirror / "objects" / "pack"
    pack.mkdir(exist_ok=True)
    stale = [pack / "tmp_pack_old", mirror / "refs" / "orloj" / "fetched.lock"]
    fresh = pack / "tmp_pack_new"
    for file in (*stale, fresh):
        file.write_bytes(b"")
    for file in stale:
        os.utime(file, (1, 1))

    newest = repository.manifest("two")
    following.fetch(newest)

    assert following.has(newest)
    assert [file.exists() for file in (*stale, fresh)] == [False, False, True]


def test_maintenance_keeps_every_pinned_commit_and_few_files(
    tmp_path: Path, repository: Repository
) -> None:
    following = source(repository, tmp_path)
    commits = []
    for number in range(5):
        commits.append(repository.manifest(f"m{number}"))
        following.fetch(commits[-1])
        following.pin(commits[-1])

    following.maintain()
    assert len(list((tmp_path / "source").glob("mirror.git/objects/pack/*.pack"))) == 5
    following.maintain(files_max=1)

    mirror = tmp_path / "source" / "mirror.git"
    assert len(list(mirror.glob("objects/pack/*.pack"))) == 1
    assert list(mirror.glob("refs/orloj/applied/*")) == []
    for commit in commits:
        assert following.tree(commit).files
    following.fetch(commits[-1])
