"""Who signed and reviewed what is applied is kept with it, and names stay erasable."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import signing
from rich.console import Console
from signing import Signer, World, agent

from reconciler.change import Provenance
from reconciler.git.commit_object import TRAILERS_MAX, CommitObject, trailers
from reconciler.git.history import History
from reconciler.trust import record
from reconciler.trust.provenance import KEPT_MAX, provenance
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json

A, B, C = (agent(name) for name in "abc")
REVIEWED = "Raise it\n\nReviewed-by: Rita <rita@x>\nOrloj-Ticket: 7\nFixes: nothing\n"


@pytest.fixture(scope="module")
def dana(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signing.ssh(tmp_path_factory.mktemp("people"), "dana@example.com")


@pytest.fixture
def world(tmp_path: Path, dana: Signer) -> Iterator[World]:
    world = World(tmp_path)
    world.trusting(dana)
    world.push({"a.yaml": A}, dana)
    assert world.reasons() == []
    yield world
    world.close()


def kept(world: World, commit: str | None = None) -> Provenance | None:
    with world.database.read() as connection:
        return record.read(connection, "default", commit or world.repository.head())


def header(world: World) -> list[str]:
    seen = world.reconciler.preview()
    assert seen.plan is not None
    console = Console(width=200)
    with console.capture() as capture:
        console.print(plan_words(seen.plan))
    return capture.get().splitlines()


def test_the_range_is_kept_with_the_revision(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B}, dana, REVIEWED)
    world.push({"c.yaml": C}, dana, "Go\n\nApproved-by: Paul <p@x>\nReviewed-by: Rita <rita@x>")
    planned = world.look().plan
    found = kept(world)
    assert found == planned.target.provenance
    assert found.signature == "good"
    assert found.reviewers == ("Paul <p@x>", "Rita <rita@x>")
    assert set(found.trailers) == {
        ("Reviewed-by", "Rita <rita@x>"),
        ("Approved-by", "Paul <p@x>"),
        ("Orloj-Ticket", "7"),
    }
    assert planned.target.commits == 2


def test_the_trailers_of_a_merge_and_of_what_it_brings_count(
    world: World, dana: Signer
) -> None:
    world.repository.git("checkout", "--quiet", "-b", "feature")
    world.commit({"b.yaml": B}, dana, "F\n\nCo-authored-by: Fay <f@x>")
    world.repository.git("checkout", "--quiet", "main")
    message = "--message=Merge\n\nApproved-by: Paul <p@x>"
    world.signed("merge", "--quiet", "--no-ff", message, "feature", by=dana)
    world.repository.push()
    found = world.look().plan.target.provenance
    assert found.trailers == (("Approved-by", "Paul <p@x>"), ("Co-authored-by", "Fay <f@x>"))


def test_the_log_has_the_key_and_the_names_only_as_commitments(
    world: World, dana: Signer
) -> None:
    world.push({"b.yaml": B}, dana, REVIEWED)
    world.look()
    entry = world.log("manifest.applied")[-1]
    assert "signature good, SHA256:" in entry["reason"]
    assert set(entry["private"]) == {
        "author", "committer", "signer", "reviewers", "trailers", "reason",
    }  # fmt: skip
    assert "rita" not in json.dumps(entry)
    assert "dana" not in json.dumps(entry)
    values = world.rows("SELECT value FROM disclosure WHERE field = 'reviewers'")
    assert values == [('["Rita <rita@x>"]',)]


def test_a_plan_says_who_signed_and_who_reviewed(world: World, dana: Signer) -> None:
    world.push({"b.yaml": B}, dana, REVIEWED)
    lines = header(world)
    assert "(1 commit, fast-forward, signed by dana@example.com ✔)" in lines[0]
    assert "  reviewed by Rita <rita@x>" in lines
    seen = world.reconciler.preview().plan
    assert seen is not None
    shown = plan_json(seen)["source"]["provenance"]
    assert (shown["signature"], shown["signer"]) == ("good", "dana@example.com")
    assert {"name": "Orloj-Ticket", "value": "7"} in shown["trailers"]


def test_a_plan_says_that_nobody_signed_or_that_nobody_looked(
    tmp_path: Path, dana: Signer
) -> None:
    world = World(tmp_path)
    world.push({"a.yaml": A})
    assert "(first, unsigned)" in header(world)[0]
    world.push({"b.yaml": B}, dana)
    assert "(first, signature not verified)" in header(world)[0]
    world.close()


def test_a_signer_who_is_not_the_committer_is_remarked(world: World, dana: Signer) -> None:
    world.commit({"b.yaml": B})
    raw = world.raw()
    world.push_raw(signing.inserted(raw, dana.armour(raw)))
    remark = "signed by dana@example.com, committed by mallory <mallory@example.com>"
    assert world.look().plan.target.provenance.remarks == (remark,)
    assert kept(world).remarks == (remark,)  # type: ignore[union-attr]


def test_the_same_commit_applied_again_keeps_what_was_found(world: World, dana: Signer) -> None:
    world.push({"sub/b.yaml": B}, dana, REVIEWED)
    first = world.look().plan.target.provenance
    world.started(path="sub")
    again = world.look()
    assert (again.outcome, again.plan.target.provenance) == ("applied", first)
    assert world.rows("SELECT count(*) FROM revision_provenance") == [(3,)]


def test_what_commits_say_of_themselves_is_bounded_and_plain() -> None:
    lines = "\n".join(f"Reviewed-by: R{n} \x1b[31m{'x' * 400}" for n in range(300))
    found = trailers(f"S\n\n{lines}")
    assert len(found) == TRAILERS_MAX
    assert all(len(value) <= 200 and value.isprintable() for _, value in found)
    commits = tuple(
        CommitObject(sha=f"{n:040}", trailers=(("Reviewed-by", f"R{n}"),)) for n in range(300)
    )
    bounded = provenance(History(newest=commits[0], commits=commits))
    assert len(bounded.reviewers) == len(bounded.trailers) == KEPT_MAX


def test_a_value_that_is_not_printable_reaches_no_terminal(world: World, dana: Signer) -> None:
    world.push({"b.yaml": B}, dana, "S\n\nReviewed-by: \x1b]0;pwned\x07 <r@x>")
    assert all(line.isprintable() for line in header(world))
