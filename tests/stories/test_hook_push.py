"""A push shows its plan before the ref moves, and moves it only if the daemon will apply it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pushing import Pushing, agent

pytestmark = pytest.mark.story


@pytest.fixture
def pushing(tmp_path: Path) -> Iterator[Pushing]:
    made = Pushing(tmp_path)
    yield made
    made.close()


def test_a_push_shows_the_plan_and_is_applied_by_the_daemon(
    tmp_path: Path, database_url: str
) -> None:
    pushing = Pushing(tmp_path, database_url, approval="always")
    commit = pushing.change({"a.yaml": agent("a")}, "Add an agent")
    with pushing.daemon():
        waiting = pushing.push()
        assert (waiting.code, pushing.stands()) == (1, "")
        assert f"git push -o approve={waiting.plan}" in waiting.words
        stale = pushing.push("-o", "approve=0123456789ab")
        assert (stale.code, pushing.stands()) == (1, "")
        assert f"is not the plan of this push, which is {waiting.plan}" in stale.words
        pushed = pushing.push("-o", f"approve={waiting.plan}")
        assert (pushed.code, pushing.stands()) == (0, commit), pushed.output
        assert pushed.plan == waiting.plan
        assert pushed.lines[-1] == (
            "The daemon applies this when the push is done. To see it: orloj status"
        )
        pushing.applied(commit)
    assert pushing.names() == ["a"]
    (entry,) = pushing.overrides()
    assert entry["resource"].startswith(f"sha256:{waiting.plan}")
    pushing.close()


def test_an_approval_is_void_when_the_state_moves_before_the_pass(pushing: Pushing) -> None:
    pushing.configure(approval="always")
    commit = pushing.change({"a.yaml": agent("a")})
    plan = pushing.push().plan
    assert pushing.push("-o", f"approve={plan}").code == 0
    (pushing.folder / "mine.yaml").write_text(agent("mine"))
    assert pushing.orloj("apply", "-f", "mine.yaml", "--yes").returncode == 0
    looked = pushing.orloj("reconcile")
    assert looked.returncode == 1
    assert f"the approval of plan {plan} by person:" in looked.stdout
    assert pushing.names() == ["mine"]
    new = looked.stdout.rstrip().rpartition(" ")[2]
    wrong = pushing.orloj("apply", plan, "--yes")
    assert (wrong.returncode, f"is plan {new}" in wrong.stderr) == (4, True)
    no = pushing.orloj("apply", new, given="n\n")
    assert (no.returncode, pushing.names()) == (1, ["mine"])
    yes = pushing.orloj("apply", new, given="y\n")
    assert (yes.returncode, pushing.names()) == (0, ["a", "mine"]), yes.stderr
    assert pushing.state().applied_commit == commit
    assert [entry["reason"] for entry in pushing.overrides()] == ["push option", "orloj apply"]


def test_a_plan_that_the_daemon_holds_back_is_applied_by_its_id(pushing: Pushing) -> None:
    pushing.hooks.uninstall()
    pushing.configure(approval="always")
    commit = pushing.change({"a.yaml": agent("a")})
    with pushing.daemon():
        assert pushing.push().code == 0
        pushing.until(lambda: (state := pushing.state()) and state.reason == "ApprovalRequired")
        held = pushing.state()
        assert (held.condition, held.applied_commit) == ("Stalled", None)
        plan = held.message.rpartition(" ")[2]
        assert pushing.orloj("apply", plan, "--yes").returncode == 0
        assert pushing.orloj("reconcile", "--wait").returncode == 0
        assert (pushing.state().condition, pushing.state().applied_commit) == ("Ready", commit)


def test_a_saved_plan_is_an_approval_too(pushing: Pushing) -> None:
    pushing.hooks.uninstall()
    pushing.change({"a.yaml": agent("a")})
    assert pushing.push().code == 0
    pushing.configure(approval="always")
    assert pushing.orloj("plan", "--out", "first.plan").returncode == 3
    assert pushing.orloj("apply", "first.plan").returncode == 0
    assert pushing.names() == ["a"]
    assert [entry["reason"] for entry in pushing.overrides()] == ["orloj apply"]


def test_a_mistake_is_shown_with_its_place_and_the_ref_stays(pushing: Pushing) -> None:
    first = pushing.change({"a.yaml": agent("a")})
    assert pushing.push().code == 0
    pushing.change({"b.yaml": agent("b").replace("model", "modle"), "c.yaml": "kind: ["})
    refused = pushing.push()
    assert (refused.code, pushing.stands()) == (1, first)
    assert "b.yaml:6:3: error: unknown field `modle`" in refused.lines
    assert "  6 |   modle: gpt-4" in refused.lines
    assert "    = did you mean `model`?" in refused.lines
    assert any(line.startswith("c.yaml:") for line in refused.lines)
    assert any(line.startswith("2 errors") for line in refused.lines)
    assert (
        f"error: refused: main stays at {first[:8]}, and nothing is applied." in refused.lines
    )


def test_planning_only_shows_the_plan_and_moves_nothing(pushing: Pushing) -> None:
    pushing.change({"a.yaml": agent("a")})
    planned = pushing.push("-o", "plan-only")
    assert (planned.code, pushing.stands()) == (1, "")
    assert "Plan: 1 to create, 0 to update, 0 to delete, 0 unchanged." in planned.lines
    assert "Only planned, as you asked: main is not made." in planned.lines
    assert f"To push exactly this: git push -o approve={planned.plan}" in planned.lines
    other = pushing.push("-o", "plan-only", ref="HEAD:refs/heads/feature")
    assert (other.code, pushing.stands("refs/heads/feature")) == (1, "")
    assert "this push does not move it" in other.words


def test_other_refs_pass_whatever_they_hold(pushing: Pushing) -> None:
    pushing.change({"broken.yaml": "kind: ["})
    pushed = pushing.push("-o", "ci.skip", ref="HEAD:refs/heads/feature")
    assert (pushed.code, pushed.lines) == (0, [])
    gone = pushing.push(ref=":refs/heads/feature")
    assert (gone.code, gone.lines) == (0, [])


def test_the_followed_ref_is_not_deleted_and_an_unknown_option_is_named(
    pushing: Pushing,
) -> None:
    commit = pushing.change({"a.yaml": agent("a")})
    unknown = pushing.push("-o", "planonly")
    assert (unknown.code, pushing.stands()) == (1, "")
    assert "there are: plan-only, approve=PLAN_ID" in unknown.words
    assert pushing.push().code == 0
    gone = pushing.push(ref=":refs/heads/main")
    assert (gone.code, pushing.stands()) == (1, commit)
    assert "deleting it is never taken for a wish" in gone.words


def test_without_a_daemon_the_pusher_is_told_what_applies_it(pushing: Pushing) -> None:
    pushing.change({"a.yaml": agent("a")})
    assert "To apply this: orloj reconcile" in pushing.push().words


def test_a_long_plan_is_cut_and_counted(pushing: Pushing) -> None:
    pushing.change({f"a{number}.yaml": agent(f"a{number}") for number in range(300)})
    pushed = pushing.push()
    assert pushed.code == 0
    assert "Not shown: 280 more changes." in pushed.lines
    assert "Plan: 300 to create, 0 to update, 0 to delete, 0 unchanged." in pushed.lines
    assert len(pushed.lines) < 150
    # A path of the machine has nowhere to break.
    assert max(len(line) for line in pushed.lines if " /" not in line) <= 72


@pytest.mark.parametrize("fault", ["no database", "no home", "broken settings", "no right"])
def test_what_cannot_be_looked_at_does_not_pass(pushing: Pushing, fault: str) -> None:
    pushing.change({"a.yaml": agent("a")})
    if fault == "no database":
        pushing.configure()
        with (pushing.home / "orloj.toml").open("a") as file:
            file.write('[database]\nurl = "postgresql://nobody@127.0.0.1:1/none"\n')
    elif fault == "no home":
        pushing.home.rename(pushing.folder / "moved")
    elif fault == "broken settings":
        (pushing.home / "orloj.toml").write_text("[source\n")
    else:
        (pushing.home / "hook").rename(pushing.folder / "moved")
        (pushing.home / "hook").write_text("a file in the place of the folder")
    refused = pushing.push()
    assert (refused.code, pushing.stands()) == (1, "")
    assert "error: refused, since Orloj cannot look at this push:" in refused.words
    assert f"orloj hook uninstall {pushing.repository.origin}" in refused.words
    assert "Traceback" not in refused.output
    done = pushing.orloj("hook", "uninstall", str(pushing.repository.origin))
    assert done.returncode == 0, done.stderr
    assert pushing.push().code == 0
    if fault == "no home":
        (pushing.folder / "moved").rename(pushing.home)


def test_an_interpreter_that_is_gone_refuses_with_words(pushing: Pushing) -> None:
    text = pushing.hooks.file.read_text().replace(sys.executable, "/nowhere/python")
    pushing.hooks.file.write_text(text)
    pushing.change({"a.yaml": agent("a")})
    refused = pushing.push()
    assert (refused.code, pushing.stands()) == (1, "")
    assert "since Orloj is gone from /nowhere/python" in refused.words


def test_the_environment_of_the_pusher_changes_no_setting(pushing: Pushing) -> None:
    pushing.configure(approval="always")
    pushing.change({"a.yaml": agent("a")})
    refused = pushing.push(ORLOJ_SOURCE_APPROVAL="never", ORLOJ_SOURCE_REF="other")
    assert (refused.code, pushing.stands()) == (1, "")
    assert "waits until a person approves it" in refused.words


def test_a_hook_called_without_git_says_so(pushing: Pushing) -> None:
    done = subprocess.run(
        ["sh", str(pushing.hooks.file)], cwd="/", input="x\n", capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "and this is /" in done.stdout
