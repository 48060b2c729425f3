"""The status says what of the log is published, and how long the rest has been open."""

from collections.abc import Iterator
from pathlib import Path

import home
import pytest

from reconciler.proof import checkpoints, coverage, troubles
from reconciler.proof.covered import Covered, Head, Standing
from reconciler.proof.keeper import Keeper
from reconciler.proof.troubles import Part, Trouble
from reconciler.views import coverage as view
from runner.contract import audit, settings
from runner.contract.audit_entry import Entry, EntryType
from runner.contract.database import Database

AT = 1_800_000_000_000_000
SECOND = 1_000_000
REMOTE = "/srv/audit.git"


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    opened = home.opened(tmp_path, database_url)
    (tmp_path / "orloj.toml").write_text(f'[audit]\nremote = "{REMOTE}"\n')
    yield opened
    opened.close()


def test_what_the_database_says_is_what_is_covered(database: Database) -> None:
    chosen = settings.load(database.home, {})
    entry = Entry(type=EntryType.TASK_QUEUED, actor="a", commit="none")
    for second in range(5):
        with database.write() as connection:
            audit.append(connection, [entry], AT + second * SECOND)
        if second == 2:
            Keeper(chosen, database, lambda: AT + 2 * SECOND).step(at_once=True)
            with database.write() as connection:
                checkpoints.mark_published(connection, 3, REMOTE, AT + 3 * SECOND)
                checkpoints.mark_published(connection, 3, "/elsewhere", AT + 9 * SECOND)
                trouble = Trouble(Part.PUBLISHING, "RemoteUnreachable", "it is down")
                troubles.begin(connection, trouble, AT)
                troubles.begin(connection, trouble, AT + SECOND)
    with database.read() as connection:
        found = coverage.covered(connection, chosen, AT + 10 * SECOND)
    assert found == Covered(
        entries=6,
        now_us=AT + 10 * SECOND,
        signed=Head(3, AT + 2 * SECOND),
        published=Head(3, AT + 3 * SECOND),
        remote=REMOTE,
        oldest_open_at=AT,  # The entry log.publish_failed, by the clock of that test.
        troubles=[Standing("publishing", "RemoteUnreachable", "it is down", AT)],
    )
    assert (found.open_entries, found.open_s) == (3, 10.0)


def covered(**more: object) -> Covered:
    known = {"entries": 0, "now_us": AT} | more
    return Covered(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "published", "still_open"),
    [
        pytest.param(
            covered(), "nowhere: set source.url, or audit.remote", "nothing", id="empty"
        ),
        pytest.param(
            covered(entries=1, remote=REMOTE, oldest_open_at=AT - 90 * SECOND),
            f"nothing yet, to {REMOTE}",
            "1 entry, the oldest logged 1 min 30 s ago",
            id="not-yet",
        ),
        pytest.param(
            covered(entries=7, remote=REMOTE, published=Head(7, AT - SECOND)),
            f"7, 1 s ago, at {REMOTE}",
            "nothing",
            id="all-of-it",
        ),
        pytest.param(
            covered(entries=4, remote=REMOTE, published=Head(7, AT - SECOND)),
            f"7, 1 s ago, at {REMOTE}",
            "nothing",
            id="fewer-than-were-published",
        ),
    ],
)
def test_the_words_say_where_and_how_much(
    found: Covered, published: str, still_open: str
) -> None:
    rows = dict(view.lines(found))
    assert (rows["published"], rows["open"]) == (published, still_open)


def test_a_trouble_is_shown_and_needs_a_person() -> None:
    standing = Standing("signing", "AuditLogForked", "it was\nrewritten", AT - 60 * SECOND)
    found = covered(entries=3, troubles=[standing])
    assert str(dict(view.lines(found))["signing"]) == (
        r"failing, since 1 min ago: it was\nrewritten"
    )
    assert view.stuck(found) == ["the audit log is not signed (AuditLogForked)"]
    assert view.covered_json(found)["troubles"][0]["reason"] == "AuditLogForked"
