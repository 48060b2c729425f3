"""What `source.ignore` hides is no manifest, exactly as a `.gitignore` would say it.

git itself is the oracle. A file that becomes ignored goes as a removed one does, and says
so; what hides everything is an error and never a wish to delete everything.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ENVIRONMENT, Repository

from reconciler import recorded
from reconciler.change import Action
from reconciler.git.ignore import PATTERNS_MAX, Ignore
from reconciler.reconcile import Outcome, Reconciler
from runner.contract import clock, errors
from runner.contract.database import open_database
from runner.contract.settings import Settings, Source

ATOMS = [
    "a", "b", "c", ".", "*", "?", "/", "/**", "**/", "/**/", "[ab]", "[!a]", "[a-c]", "[^-b]",
    "[]a]", "[a-]", "[b-a]", "[\\]a]", "[[:alpha:]]", "[![:digit:]x]", "[:a]", "[a/b]", "\\*",
    "\\!", "\\#", "!", "#", " ", "\\ ", "-", "é",
]  # fmt: skip
NAMES = ["a", "b", "c", "ab", "a.b", "é", "*", "-", "]", "a b", " ", "#a", "!b", "abc", "b ",
         "[", "^", ":", "7"]  # fmt: skip
LINES = st.lists(st.lists(st.sampled_from(ATOMS), min_size=1, max_size=5), max_size=4)
PATHS = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), min_size=20)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oracle")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True, env=ENVIRONMENT)
    return folder


def truth(oracle: Path, patterns: list[str], paths: list[str]) -> dict[str, bool]:
    """Which paths git ignores by these patterns."""
    (oracle / ".git" / "info" / "exclude").write_text("".join(f"{p}\n" for p in patterns))
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"],
        cwd=oracle,
        env=ENVIRONMENT,
        # With ./ before them, or a : would be read as a command to git.
        input=b"".join(f"./{path}".encode() + b"\0" for path in paths),
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stderr
    fields = done.stdout.decode().split("\0")
    records = zip(fields[2::4], fields[3::4], strict=True)
    return {path[2:]: bool(rule) and not rule.startswith("!") for rule, path in records}


def readable(patterns: list[str]) -> Iterator[str]:
    """The patterns that are not refused."""
    for pattern in patterns:
        try:
            Ignore([pattern])
        except ValueError:
            continue
        yield pattern


@settings(max_examples=250)
@given(lines=LINES, names=PATHS)
def test_git_ignores_the_same(
    oracle: Path, lines: list[list[str]], names: list[list[str]]
) -> None:
    patterns = list(readable(["".join(line) for line in lines]))
    paths = ["/".join(parts) for parts in names]
    ignore = Ignore(patterns)
    for path, expected in truth(oracle, patterns, paths).items():
        assert ignore.hides(path.encode()) is expected, (patterns, path)


@pytest.mark.parametrize(
    ("patterns", "hidden", "shown"),
    [
        (["drafts/"], "drafts/a.yaml x/drafts/y/a.yaml", "drafts drafts.yaml"),
        (["/drafts/"], "drafts/a.yaml", "x/drafts/a.yaml"),
        (["*.tmp.yaml"], "a.tmp.yaml x/a.tmp.yaml", "a.yaml tmp.yaml"),
        (["*", "!agents/", "!agents/**"], "a.yaml x/a.yaml", "agents/a.yaml agents/b/c.yaml"),
        (["agents/*/old"], "agents/x/old/a.yaml", "agents/x/y/old/a.yaml"),
        (["agents/**/old"], "agents/old/a.yaml agents/x/y/old", "old/a.yaml"),
        (["a/", "!a/b.yaml"], "a/b.yaml", "b.yaml"),
        (["# a.yaml", "", "  "], "", "a.yaml"),
    ],
)
def test_a_pattern_hides_these_paths_and_not_those(
    patterns: list[str], hidden: str, shown: str
) -> None:
    ignore = Ignore(patterns)
    assert [path for path in hidden.split() if not ignore.hides(path.encode())] == []
    assert [path for path in shown.split() if ignore.hides(path.encode())] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("[a", "a [ is not closed"),
        ("[a-", "a [ is not closed"),
        ("[[:word:]]", "[:word:] is no class"),
        ("a\\", "ends with a backslash"),
        ("a\\/b", "a slash needs no backslash"),
        ("a**/b", "** has to stand alone"),
        ("x" * 300, "longer than"),
        ("a\nb", "two lines"),
    ],
)
def test_a_pattern_that_would_not_do_what_it_seems_to_is_refused(
    pattern: str, words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Ignore([pattern])


def test_the_number_of_patterns_is_bounded() -> None:
    with pytest.raises(ValueError, match="more than 500"):
        Ignore(["a"] * (PATTERNS_MAX + 1))


def test_a_name_of_a_stranger_cannot_make_the_match_slow() -> None:
    ignore = Ignore(["*a*a*a*a*a*a*a*a*a*b"])
    # Tried again between two stars, this would never come to its end.
    assert not ignore.hides(b"a" * 20_000)


# In a repository.


def agent(name: str) -> str:
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\n"
        f"metadata:\n  name: {name}\nspec:\n  model: gpt-4\n  prompt: Be brief.\n"
    )


class Place:
    """A repository with some manifests, and passes over it with different patterns."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self.repository = repository
        self.home = folder / "home"
        self.database = open_database(self.home)
        for path in ("agents/a.yaml", "agents/drafts/b.yaml", "c.yaml"):
            repository.write(path, agent(Path(path).stem))
        repository.commit("Write")
        repository.push()

    def look(self, *patterns: str, **more: Any) -> Any:
        source = Source(url=self.repository.url, ignore=list(patterns), **more)
        reconciler = Reconciler(Settings(home=self.home, source=source), self.database)
        return reconciler.run(clock.now_us())

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [item.key.name for item in recorded.resources(connection)]


@pytest.fixture
def place(tmp_path: Path, repository: Repository) -> Iterator[Place]:
    made = Place(tmp_path, repository)
    yield made
    made.database.close()


def test_what_is_ignored_is_not_applied(place: Place) -> None:
    assert place.look("drafts/").outcome is Outcome.APPLIED
    assert place.names() == ["a", "c"]


def test_a_pattern_counts_from_the_folder_that_is_followed(place: Place) -> None:
    place.look("/drafts/", path="agents")
    assert place.names() == ["a"]


def test_a_file_that_becomes_ignored_is_deleted_and_the_plan_says_why(place: Place) -> None:
    place.look()
    assert place.names() == ["a", "b", "c"]
    result = place.look("drafts/")
    assert [(change.action, change.reason) for change in result.plan.changes] == [
        (Action.DELETE, "because source.ignore hides agents/drafts/b.yaml")
    ]
    assert place.names() == ["a", "c"]
    place.look()
    assert place.names() == ["a", "b", "c"]


def test_a_change_of_an_ignored_file_changes_nothing(place: Place) -> None:
    place.look("drafts/")
    place.repository.write("agents/drafts/b.yaml", "not: even\n  yaml")
    place.repository.write("agents/a.yaml", agent("renamed"))
    place.repository.commit("Change both")
    place.repository.push()
    assert place.look("drafts/").outcome is Outcome.APPLIED
    assert place.names() == ["c", "renamed"]


def test_a_file_that_moves_to_an_ignored_place_is_deleted(place: Place) -> None:
    source = Source(url=place.repository.url, ignore=["drafts/"])
    reconciler = Reconciler(Settings(home=place.home, source=source), place.database)
    reconciler.run(clock.now_us())
    place.repository.git("mv", "c.yaml", "agents/drafts/c.yaml")
    place.repository.commit("Draft it")
    place.repository.push()
    assert reconciler.run(clock.now_us()).outcome is Outcome.APPLIED
    assert place.names() == ["a"]


def test_hiding_everything_deletes_nothing(place: Place) -> None:
    place.look()
    result = place.look("*.yaml")
    assert isinstance(result.error, errors.SourceStalled)
    assert result.error.reason == "EmptyTree"
    assert "source.ignore hides all manifests (3)" in str(result.error)
    assert place.names() == ["a", "b", "c"]


def test_a_symbolic_link_that_is_ignored_is_no_problem(place: Place) -> None:
    (place.repository.work / "agents/drafts/link.yaml").symlink_to("b.yaml")
    place.repository.commit("Link")
    place.repository.push()
    assert place.look().outcome is Outcome.REJECTED
    assert place.look("drafts/").outcome is Outcome.APPLIED


def test_two_repositories_at_one_address_follow_a_folder_each(
    tmp_path: Path, place: Place
) -> None:
    url = place.repository.url
    sources = {
        "agents": Source(url=url, path="agents", ignore=["drafts/"]),
        "rest": Source(url=url, ignore=["agents/"]),
    }
    told = Settings(home=place.home, sources=sources)
    for name in sources:
        assert Reconciler(told, place.database, name).run(clock.now_us()).outcome == "applied"
    with place.database.read() as connection:
        owners = {item.key.name: item.owner for item in recorded.resources(connection)}
    assert owners == {"a": "git:agents", "c": "git:rest"}
