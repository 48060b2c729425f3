"""What is followed is what the settings name, and what they name wrongly is said by its name.

A commit goes before a range, a range before a ref; of a range the newest version counts, by
the order of SemVer 2.0 and by nothing else.
"""

import re
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repository import Repository, git

from reconciler.git import address as git_address
from reconciler.git import pointer, semver
from reconciler.git.ignore import Ignore
from reconciler.git.source import GitSource
from reconciler.git.watch import RefWatch
from runner.contract import errors, settings
from runner.contract.source_settings import Source


def source(repository: Repository, folder: Path, ref: str = "main", **more: Any) -> GitSource:
    return GitSource(
        repository.url, ref, "", folder / "source", 10.0, more=Source(ref=ref, **more)
    )


def tagged(repository: Repository, *names: str) -> dict[str, str]:
    """Tags on a commit each; the commits by tag."""
    made = {}
    for name in names:
        made[name] = repository.commit(f"Release {name}")
        repository.git("tag", name)
    repository.push()
    repository.git("push", "--quiet", "--tags", "origin")
    return made


ORDERED = [
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-beta.99999999999999999999", "1.0.0-rc.1", "1.0.0", "1.0.1",
    "1.2.0", "1.10.0", "2.0.0-0", "2.0.0",
]  # fmt: skip


@pytest.mark.parametrize(("low", "high"), list(pairwise(ORDERED)))
def test_versions_are_ordered_as_semver_orders_them(low: str, high: str) -> None:
    lower, higher = semver.version(low), semver.version(f"v{high}")
    assert lower is not None
    assert higher is not None
    assert lower.order < higher.order


@pytest.mark.parametrize(
    "text",
    ["1.2", "1", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "V1.2.3", "1.2.3 ", "release-1.2.3",
     "1.2.3-a..b", "\uff11.2.3", "1.2.3\n", "1.2.3-" + "x" * 300, "9" * 5000 + ".0.0"],
)  # fmt: skip
def test_what_is_no_version_is_none(text: str) -> None:
    assert semver.version(text) is None


@pytest.mark.parametrize(
    ("wanted", "inside", "outside"),
    [
        (">=1.2, <2", "1.2.0 1.99.0", "1.1.9 2.0.0 2.0.0-rc.1 1.5.0-rc.1"),
        (">=1.2 <2", "1.2.0", "2.0.0"),
        (">= v1.2 , < v2", "1.2.0", "2.0.0"),
        ("^1.2", "1.2.0 1.9.9", "1.1.0 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2"),
        ("^0", "0.0.1 0.9.9", "1.0.0"),
        ("~1.2.3", "1.2.3 1.2.99", "1.2.2 1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.9", "2.0.0"),
        ("1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
        ("1.2.*", "1.2.0 1.2.9", "1.3.0"),
        ("1", "1.5.0", "2.0.0"),
        ("1.2.3", "1.2.3", "1.2.4 1.2.3-rc.1"),
        ("=1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.1.1 1.2.3-rc.2"),
        (">1.2", "1.3.0", "1.2.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        (">1.2.3-rc.1", "1.2.3-rc.1.0 1.2.3", "1.2.3-rc.1"),
        ("<=1.2", "1.2.9 0.1.0", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("!=1.2, 1.x", "1.1.0 1.3.0", "1.2.5"),
        ("!=1.2.3", "1.2.4 1.2.2", "1.2.3"),
        (">=1.0.0-0, <2", "1.5.0-rc.1 1.0.0-alpha", "2.0.0-rc.1"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
    ],
)
def test_a_range_holds_these_versions_and_not_those(
    wanted: str, inside: str, outside: str
) -> None:
    held = semver.Range(wanted)
    for text, expected in [*((v, True) for v in inside.split()),
                           *((v, False) for v in outside.split())]:  # fmt: skip
        found = semver.version(text)
        assert found is not None
        assert held.holds(found) is expected, text


@pytest.mark.parametrize(
    "text",
    ["", " ", "latest", ">=", "1.x.3", "1.x-rc.1", "< *", "!= x", "1.2.3.4", "01", "1 || 2",
     ">=1,,<2 x" + "y" * 300, "1.2-rc"],
)  # fmt: skip
def test_a_range_that_cannot_be_read_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write for example >=1\.2, <2"):
        semver.Range(text)


NUMBERS = st.integers(0, 3)
VERSIONS = st.builds(
    lambda a, b, c, pre: semver.Version(a, b, c, tuple(pre)),
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.lists(st.sampled_from(["0", "1", "10", "rc", "x-y"]), max_size=2),
)


@given(VERSIONS, NUMBERS, NUMBERS, NUMBERS)
def test_above_below_and_equal_part_all_versions(
    version: semver.Version, major: int, minor: int, patch: int
) -> None:
    at = f"{major}.{minor}.{patch}-0"  # Names a pre-release, so that all take part.
    held = [semver.Range(f"{sign}{at}").holds(version) for sign in ("<", "=", ">")]
    assert sum(held) == 1
    assert semver.Range(f"<={at}").holds(version) is (held[0] or held[1])
    assert semver.Range(f">={at}").holds(version) is (held[1] or held[2])
    assert semver.Range(f"!={at}").holds(version) is not held[1]


# Tags of a real repository.


def test_the_newest_version_in_the_range_is_followed(
    tmp_path: Path, repository: Repository
) -> None:
    made = tagged(repository, "v1.2.0", "v1.10.0", "v1.9.0", "2.0.0", "v1.11.0-rc.1", "nightly")
    found = source(repository, tmp_path, semver="^1.2").find()
    assert found == pointer.Found(made["v1.10.0"], "v1.10.0")
    newest = source(repository, tmp_path, semver=">=1.2.0-0, <2").find()
    assert newest.name == "v1.11.0-rc.1"


def test_of_equal_versions_the_name_that_sorts_last_is_followed(
    tmp_path: Path, repository: Repository
) -> None:
    made = tagged(repository, "1.0.0+b", "v1.0.0", "1.0.0+a", "1.0.0")
    following = source(repository, tmp_path, semver="1.x")
    assert [following.resolve() for _ in range(2)] == [made["v1.0.0"]] * 2


def test_an_annotated_version_is_the_commit_behind_it(
    tmp_path: Path, repository: Repository
) -> None:
    commit = repository.manifest("a")
    repository.git(
        "tag", "--annotate", "--message=x", "v1.0.0",
        GIT_COMMITTER_NAME="C", GIT_COMMITTER_EMAIL="c@x",
    )  # fmt: skip
    repository.git("push", "--quiet", "--tags", "origin")
    following = source(repository, tmp_path, semver="1.x")
    assert following.resolve() == commit
    following.fetch(commit)
    assert [file.path for file in following.tree(commit).files] == ["a.yaml"]


def test_a_tag_on_no_commit_is_refused_by_its_setting(
    tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("a")
    repository.git("tag", "v1.0.0", "HEAD^{tree}")
    repository.git("push", "--quiet", "--tags", "origin")
    following = source(repository, tmp_path, semver="1.x")
    with pytest.raises(
        errors.SourceStalled, match=r"source\.semver '1\.x' names .* tag a comm"
    ):
        following.fetch(following.resolve())


def test_many_thousand_tags_are_one_question(tmp_path: Path, repository: Repository) -> None:
    commit = repository.manifest("a")
    lines = "".join(
        f"{commit} refs/tags/v{a}.{b}.{c}\n"
        for a in range(2)
        for b in range(50)
        for c in range(100)
    )
    (repository.origin / "packed-refs").write_text(f"# pack-refs with: sorted\n{lines}")
    assert source(repository, tmp_path, semver="<1").find().name == "v0.49.99"


def test_more_tags_than_are_kept_stall(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagged(repository, "v1.0.0", "v1.1.0")
    monkeypatch.setattr(pointer, "TAGS_BYTES_MAX", 80)
    with pytest.raises(errors.SourceStalled, match="too many tags") as refused:
        source(repository, tmp_path, semver="1.x").resolve()
    assert refused.value.reason == "TooLarge"


def test_a_range_without_a_tag_says_what_there_is(
    tmp_path: Path, repository: Repository
) -> None:
    tagged(repository, "v0.9.0", "nightly")
    with pytest.raises(errors.SourceStalled) as refused:
        source(repository, tmp_path, semver=">=1").resolve()
    assert refused.value.reason == "RefNotFound"
    assert "is in source.semver '>=1' (2 tags, 1 of them" in str(refused.value)
    assert "the newest is v0.9.0" in str(refused.value)


@pytest.mark.parametrize(
    ("more", "reason", "named"),
    [
        ({"semver": "latest"}, "SemverInvalid", "source.semver"),
        ({"commit": "abc123"}, "CommitInvalid", "source.commit 'abc123'"),
        ({"commit": "f" * 40}, "CommitNotFound", "source.commit ffffffffffff"),
        ({"ref": "refs/tags/v9"}, "RefNotFound", "refs/tags/v9 does not exist"),
        ({"ignore": ["[a"]}, "IgnoreInvalid", "source.ignore: '[a'"),
    ],
    ids=["range", "short commit", "commit", "tag", "pattern"],
)
def test_what_leads_nowhere_stalls_and_names_its_setting(
    more: dict[str, Any], reason: str, named: str, tmp_path: Path, repository: Repository
) -> None:
    repository.manifest("a")
    following = source(repository, tmp_path, **more)

    def look() -> None:
        commit = following.resolve()
        following.fetch(commit)
        following.tree(commit)

    with pytest.raises(errors.SourceStalled) as refused:
        look()
    assert refused.value.reason == reason
    assert named in str(refused.value)


# The document.

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/sources.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_document_is_settings_that_work(example: str, tmp_path: Path) -> None:
    (tmp_path / "orloj.toml").write_text(example)
    for name, followed in settings.load(tmp_path, {}).followed.items():
        if followed.semver:
            semver.Range(followed.semver)
        Ignore(followed.ignore)
        assert git_address.parse(followed.url).url, name
    assert EXAMPLES


# Precedence.


def test_a_commit_goes_before_a_range_and_a_range_before_a_ref(
    tmp_path: Path, repository: Repository
) -> None:
    first = tagged(repository, "v1.0.0")["v1.0.0"]
    second = tagged(repository, "v1.1.0")["v1.1.0"]
    third = repository.manifest("later")
    assert source(repository, tmp_path).resolve() == third
    assert source(repository, tmp_path, semver="1.x").resolve() == second
    assert source(repository, tmp_path, semver="1.x", commit=first).resolve() == first


def test_a_commit_that_no_branch_leads_to_any_more_is_kept_by_its_hash(
    tmp_path: Path, repository: Repository
) -> None:
    old = repository.manifest("old")
    following = source(repository, tmp_path, commit=old)
    following.fetch(following.resolve())
    git("update-ref", "-d", "refs/heads/main", folder=repository.origin)
    git("gc", "--quiet", "--prune=now", folder=repository.origin)
    again = source(repository, tmp_path, commit=old)
    again.fetch(again.resolve())
    assert [file.path for file in again.tree(old).files] == ["old.yaml"]


def test_a_pushed_tag_wakes_the_watch(repository: Repository) -> None:
    repository.manifest("a")
    woken = threading.Event()
    watch = RefWatch(repository.origin, woken.set)
    assert watch.start()
    try:
        repository.git("tag", "v1.0.0")
        repository.git("push", "--quiet", "--tags", "origin")
        assert woken.wait(10)
    finally:
        watch.stop()
