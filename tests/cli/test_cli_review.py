"""Who looked at the log, and when, stands in it: reads by themselves, reviews on purpose."""

import json
import subprocess
from pathlib import Path

from home import Home
from privacy_world import ended

from reconciler.privacy import reviews
from runner.contract import audit_check

REVIEW = ("audit", "review", "--from", "30d", "--outcome", "ok", "--note", "nothing unusual")


def test_a_review_is_bound_to_the_log_as_it_was(home: Home, orloj) -> None:
    ended(home)
    with home.database.read() as connection:
        before = audit_check.verify(connection)
    done = orloj(*REVIEW)
    assert done.code == 0, done.err
    with home.database.read() as connection:
        (one,) = reviews.listed(connection)
        holds = audit_check.verify(connection).holds
    assert holds
    assert one.statement is not None
    assert (one.statement.size, one.statement.root) == (before.entries, before.head)
    assert (one.outcome, one.statement.note) == ("ok", "nothing unusual")
    assert home.entries()[-1]["digest"] == f"sha256:{before.head}"


def test_a_log_that_does_not_hold_is_not_reviewed_as_ok(home: Home, orloj) -> None:
    ended(home)
    with home.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM disclosure WHERE seq = 2")
    done = orloj(*REVIEW)
    assert (done.code, "the log does not hold: entry 2" in done.err) == (1, True)
    found = orloj("audit", "review", "--from", "30d", "--outcome", "findings", "--note", "lost")
    assert found.code == 0, found.err


def test_a_signed_review_is_verified_by_ssh_keygen_alone(
    home: Home, orloj, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True
    )
    ended(home)
    assert orloj(*REVIEW, "--sign", key).code == 0
    (one,) = json.loads(orloj("audit", "reviews", "--json").out)["reviews"]
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "signers").write_text(f'me namespaces="orloj-review" {public}')
    (tmp_path / "sig").write_text(one["signature"])
    argv = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "signers", "-I", "me"]
    argv += ["-n", "orloj-review", "-s", tmp_path / "sig"]
    assert subprocess.run(argv, input=one["statement"].encode(), check=False).returncode == 0
    other = one["statement"].replace("nothing", "Nothing").encode()
    assert subprocess.run(argv, input=other, check=False).returncode != 0


def test_a_missed_cadence_is_named_and_ends_with_1(home: Home, orloj) -> None:
    ended(home)
    orloj(*REVIEW)
    missed = orloj("audit", "reviews", "--every", "1d", "--since", "3d")
    kept = orloj("audit", "reviews", "--every", "7d", "--since", "3d")
    assert (missed.code, "No review between" in missed.out) == (1, True)
    assert (kept.code, "nothing unusual" in kept.out) == (0, True)


def test_gaps_are_counted_between_reviews_and_to_both_ends() -> None:
    day = 86_400_000_000
    found = [reviews.Reviewed(1, moment * day, "a", "ok", None, None) for moment in (5, 6)]
    assert reviews.gaps(found, day, 3 * day, 8 * day) == [
        (3 * day, 5 * day), (6 * day, 8 * day),
    ]  # fmt: skip


def test_a_reading_is_one_entry_that_says_what_was_asked_for(home: Home, orloj) -> None:
    ended(home)
    count = len(home.entries())
    assert orloj("audit", "log", "--agent", "clerk").code == 0
    orloj("audit", "export")
    log, export = home.entries()[count:]
    assert [one["type"] for one in (log, export)] == ["access.read", "access.read"]
    assert [one["outcome"] for one in (log, export)] == ["audit_log", "audit_export"]
    read = json.loads(home.rows("SELECT value FROM disclosure WHERE seq = ?", log["seq"])[0][0])
    assert (read["filters"], read["first"]) == ({"agent": "clerk"}, 2)
    assert log["actor"].startswith("person:")


def test_a_check_of_the_log_is_no_reading_of_people(home: Home, orloj) -> None:
    ended(home)
    count = len(home.entries())
    orloj("audit", "verify")
    orloj("status")
    assert len(home.entries()) == count


def test_a_walk_through_the_log_is_a_reading_of_it(home: Home, orloj) -> None:
    ended(home)
    before = len(home.entries())
    orloj("why", "1")
    (noted,) = home.entries()[before:]
    assert (noted["type"], noted["outcome"]) == ("access.read", "why")
