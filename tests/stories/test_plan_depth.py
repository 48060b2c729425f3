"""Plans as people and their pipelines meet them: by the command line, with a home and without.

The snippets of docs/plan.md are run as they stand there, against a real clone and a forge of
our own on 127.0.0.1.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from home import Home
from repository import ENVIRONMENT, Repository
from ruamel.yaml import YAML

from reconciler import cli
from reconciler.reconcile import Outcome, Reconciler
from runner.contract import clock, settings

pytestmark = pytest.mark.story

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plan.md"
PROMPT = "You check documents.\nEscalate above 100 EUR.\n"
REST = """\
apiVersion: orloj.dev/v1
kind: ModelEndpoint
metadata:
  name: default
spec:
  provider: mock
  default_model: m
  prices:
    m: {input: 1000, output: 2000}
  script:
    checker:
      - reply: done
        input_tokens: 1000
        output_tokens: 100
---
apiVersion: orloj.dev/v1
kind: Secret
metadata:
  name: crm
spec:
  stringData:
    value: hunter22
"""


def agent(name: str = "checker", prompt: str = PROMPT, more: str = "") -> str:
    body = prompt.replace("\n", "\n    ").rstrip()
    return (
        "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata:\n"
        f"  name: {name}\nspec:\n  model: m\n  prompt: |\n    {body}\n{more}"
    )


class Desk:
    """A repository, and a home that follows it when told to."""

    def __init__(self, folder: Path, patch: Any, output: Any) -> None:
        self.folder = folder
        self.patch, self.output = patch, output
        self.repository = Repository(folder)
        self.home = Home(folder / "home", applied=False)
        (folder / "home" / "orloj.toml").write_text(
            f"[source]\nurl = {json.dumps(self.repository.url)}\n"
        )

    def push(self, branch: str = "main", **files: str | None) -> str:
        for name, text in files.items():
            if text is None:
                self.repository.remove(f"{name}.yaml")
            else:
                self.repository.write(f"{name}.yaml", text)
        commit = self.repository.commit("Change")
        self.repository.push(branch)
        return commit

    def follow(self) -> None:
        """What a pass of the daemon does."""
        loaded = settings.load(self.folder / "home", {})
        result = Reconciler(loaded, self.home.database).run(clock.now_us(), forced=True)
        assert result.outcome in (Outcome.APPLIED, Outcome.REJECTED), result

    def orloj(self, *arguments: str, code: int = 0) -> str:
        """What the command line says, in this process: a start of Python a call is too slow."""
        call = ["orloj", "--home", str(self.folder / "home"), *arguments]
        self.patch.setattr(sys, "argv", call)
        self.output.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = self.output.readouterr()
        assert ended.value.code == code, f"{out}\n{err}"
        return out + err

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.orloj(*arguments, "--json", code=code))


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    made = Desk(tmp_path, monkeypatch, capfd)
    made.push(rest=REST, checker=agent(), closer=agent("closer", "Close."))
    made.follow()
    yield made
    made.home.close()


def test_a_saved_plan_is_worth_one_apply_at_its_commit_and_state(desk: Desk) -> None:
    saved = str(desk.folder / "a.plan")
    desk.push(checker=agent("first-line"))
    desk.orloj("plan", "--out", saved)
    assert "1 moved" in desk.orloj("apply", saved)
    assert "Stale" in desk.orloj("apply", saved, code=4)
    desk.push(checker=agent("first-line", "Other."))
    desk.orloj("plan", "--out", saved)
    value = json.loads(Path(saved).read_text())
    value["resource_changes"][0]["reason_code"] = "move_declared"
    Path(saved).write_text(json.dumps(value))
    assert "was edited" in desk.orloj("apply", saved, code=1)
    desk.orloj("plan", "--out", saved)
    desk.push(checker=agent("first-line", "Another."))
    assert "Stale" in desk.orloj("apply", saved, code=4)
    desk.orloj("plan", "--out", saved)
    desk.follow()
    assert "Stale" in desk.orloj("apply", saved, code=4)


def test_a_part_of_a_plan_is_shown_and_never_applied(desk: Desk) -> None:
    desk.push(checker=agent(prompt="New."), closer=agent("closer", "Newer."))
    text = desk.orloj("plan", "--target", "agent/closer")
    assert "~ agent/default/closer" in text
    assert "agent/default/checker" not in text
    assert "Not shown: 1." in text
    value = desk.json("plan", "--target", "agent/closer")
    assert (value["complete"], value["applyable"]) == (False, False)
    assert value["partial"]["hidden"]["update"] == 1
    assert value["id"] != value["partial"]["whole_id"] == desk.json("plan")["id"]
    by_hand = desk.folder / "part.plan"
    by_hand.write_text(json.dumps(value))
    assert "a commit is applied whole" in desk.orloj("apply", str(by_hand), code=1)
    refused = desk.orloj("plan", "--target", "agent/*", "--out", str(by_hand), code=1)
    assert "--out saves what can be applied" in refused
    assert "means no resource" in desk.orloj("plan", "--target", "agent/nobody", code=1)
    known = desk.orloj("plan", "--target", "secret/crm")
    assert "Part of a plan: 0 to create, 0 to update, 0 to delete" in known


def test_what_tools_for_terraforms_plans_look_for_is_found(desk: Desk) -> None:
    desk.push(
        checker=agent("first-line"),
        closer=None,
        rest=REST.replace("hunter22", "hunter33"),
        opener=agent("opener", "You open."),
    )
    value = desk.json("plan", "--detailed-exitcode", code=2)
    changes = value["resource_changes"]

    def with_action(action: str) -> list[str]:
        """As `.resource_changes[] | select(.change.actions | index($action)) | .address`."""
        return [c["address"] for c in changes if action in c["change"]["actions"]]

    assert with_action("delete") == ["agent/default/closer"]
    assert with_action("create") == ["agent/default/opener"]
    assert with_action("no-op") == ["agent/default/first-line"]
    assert [
        (c["previous_address"], c["address"]) for c in changes if c["previous_address"]
    ] == [("agent/default/checker", "agent/default/first-line")]
    (secret,) = [c for c in changes if c["type"] == "secret"]
    assert secret["change"]["after_sensitive"] == {"spec": {"stringData": {"value": True}}}
    assert "hunter" not in json.dumps(value)
    assert {c["reason_code"] for c in changes} == {
        *("move_same_spec", "delete_file_removed", "create_new", "update_manifest_changed"),
    }
    assert all(isinstance(c["change"]["after_unknown"], dict) for c in changes)
    assert (value["complete"], value["applyable"], value["partial"]) == (True, True, None)


def test_every_documented_field_of_the_json_is_there_and_every_field_documented(
    desk: Desk,
) -> None:
    desk.push(checker=agent(prompt="Other words."), opener=agent("opener", "Open."))
    value = desk.json("plan")
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("## JSON")[2]

    def names(found: Any) -> Iterator[str]:
        if isinstance(found, dict):
            for name, inner in found.items():
                yield name
                if name not in ("before", "after", "before_sensitive", "after_sensitive"):
                    yield from names(inner)
        elif isinstance(found, list):
            for inner in found:
                yield from names(inner)

    assert {name for name in names(value) if name not in table} == set()


def test_a_plan_shows_it_all_when_asked(desk: Desk) -> None:
    desk.push(checker=agent(prompt=PROMPT.replace("100", "200")))
    assert "closer" not in desk.orloj("plan")
    text = desk.orloj("plan", "--full")
    assert "agent/default/closer" in text
    assert 'spec.model: "m"' in text


def test_an_estimate_comes_of_what_was_really_used(desk: Desk) -> None:
    with desk.home.runner(workers=1):
        desk.home.up()
        done = desk.home.orloj("run", "checker")
        assert done.returncode == 0, done.stderr
    desk.push(checker=agent(prompt=PROMPT + "x" * 39 + "\n"))
    text = desk.orloj("plan")
    # One call of one run today: 10 tokens more at 1 000 a million.
    assert "# about +10 tokens a run; +0.01 a day at 1 runs a day" in text
    (found,) = desk.json("plan")["estimate"]
    assert (found["runs"], found["model_calls"], found["tokens_a_run"]) == (1, 1, 10)
    assert (found["cost_a_day_before"], found["cost_a_day_after"]) == ("1.200000", "1.210000")


def test_a_prompt_of_a_quarter_mebibyte_is_told_by_the_word_that_changed(desk: Desk) -> None:
    prompt = "".join(f"Rule {number}: be brief and kind.\n" for number in range(7_000))
    desk.push(checker=agent(prompt=prompt))
    desk.follow()
    desk.push(checker=agent(prompt=prompt.replace("Rule 5000: be brief", "Rule 5000: be long")))
    text = desk.orloj("plan")
    assert "- Rule 5000: be [-brief-] and kind." in text
    assert "+ Rule 5000: be {+long+} and kind." in text
    assert "(6 999 unchanged lines hidden)" in text


# Without a home: a plain clone, as a pipeline has it.


class Clone:
    """A clone of the origin on a branch of its own, with an empty home."""

    def __init__(self, desk: Desk, branch: str) -> None:
        self.folder = desk.folder / "clone"
        self.environment = {
            **ENVIRONMENT,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(desk.folder / "nobody"),
            "ORLOJ_HOME": str(desk.folder / "empty"),
        }
        self.git("clone", "--quiet", "--branch", branch, desk.repository.url, str(self.folder))

    def git(self, *arguments: str) -> None:
        where = self.folder if self.folder.exists() else self.folder.parent
        self.run("git", *arguments, folder=where)

    def run(self, *argv: str, code: int = 0, folder: Path | None = None, **more: str) -> str:
        done = subprocess.run(
            argv,
            cwd=folder or self.folder,
            env=self.environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{argv}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def orloj(self, *arguments: str, code: int = 0) -> str:
        return self.run("orloj", *arguments, code=code)


def test_a_plain_clone_plans_its_branch_without_a_home(desk: Desk) -> None:
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", checker=agent("first-line"), opener=agent("opener", "Open."))
    clone = Clone(desk, "feature")
    text = clone.orloj("plan", "--against", "origin/main")
    assert "# agent/default/checker has moved to agent/default/first-line" in text
    assert "Plan: 1 to create, 0 to update, 0 to delete, 1 to move, 3 unchanged." in text
    assert "no recorded state was asked" in text
    assert not (desk.folder / "empty").exists()
    value = json.loads(clone.orloj("plan", "--against", "origin/main", "--json"))
    assert value["summary"]["move"] == 1


def test_what_others_merged_meanwhile_is_not_taken_for_a_change(desk: Desk) -> None:
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", opener=agent("opener", "Open."))
    desk.repository.git("checkout", "--quiet", "main")
    desk.push(closer=None)
    clone = Clone(desk, "feature")
    text = clone.orloj("plan", "--against", "origin/main")
    assert "Plan: 1 to create, 0 to update, 0 to delete, 4 unchanged." in text
    assert "origin/main has 1 newer commits; shown is what HEAD changes since then" in text


def test_a_base_that_cannot_be_applied_is_planned_from_what_runs(desk: Desk) -> None:
    good = desk.repository.head()
    desk.push(closer="kind: Nonsense\n")
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", closer=agent("closer", "Close well."))
    clone = Clone(desk, "feature")
    text = clone.orloj("plan", "--against", "origin/main")
    assert "Plan: 0 to create, 1 to update, 0 to delete, 3 unchanged." in text
    assert "origin/main cannot be applied itself: closer.yaml:1:1:" in text
    assert f"planned against {good[:8]}: what came after it cannot be applied" in text


def test_mistakes_of_a_branch_are_a_page_too(desk: Desk) -> None:
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", closer=agent("closer", "Close.", "  modle: x\n"))
    clone = Clone(desk, "feature")
    page = clone.orloj("plan", "--against", "origin/main", "--markdown", code=1)
    assert page.startswith("<!-- orloj-plan default -->\n")
    assert "error: closer.yaml:9:3: unknown field `modle`" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--against", "nowhere"), "nowhere names no commit in"),
        (("--against", "--help-me"), "--help-me names no commit in"),
        (("--against", "main", "--repository", "/usr"), "is no Git repository"),
        (("--against", "main", "--at", "main"), "take one"),
    ],
    ids=["no branch", "an option", "no repository", "two answers"],
)
def test_a_question_that_cannot_be_answered_says_why(
    desk: Desk, arguments: tuple[str, ...], message: str
) -> None:
    clone = Clone(desk, "main")
    assert message in clone.orloj("plan", *arguments, code=1)


def test_a_shallow_clone_is_told_to_fetch_the_rest(desk: Desk) -> None:
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", opener=agent("opener", "Open."))
    clone = Clone(desk, "feature")
    clone.git("clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=feature",
              f"file://{desk.repository.url}", "shallow")  # fmt: skip
    shallow = str(clone.folder / "shallow")
    text = clone.orloj("plan", "--against", "origin/main", "--repository", shallow, code=1)
    assert "it is a shallow clone: fetch all of it (fetch-depth: 0)" in text


# The snippets of the page, run as they stand there.


class Forge:
    """A forge that keeps the comments of one pull request, a few of other people first."""

    def __init__(self) -> None:
        self.comments = [{"id": number, "body": "a person"} for number in range(1, 121)]
        self.seen: list[tuple[str, str]] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = int(self.path.rpartition("page=")[2])
                self.answer(forge.comments[(page - 1) * 100 : page * 100])

            def do_POST(self) -> None:
                body = {"id": len(forge.comments) + 1, **self.body()}
                forge.comments.append(body)
                self.answer(body)

            def do_PATCH(self) -> None:
                found = forge.comments[int(self.path.rpartition("/")[2]) - 1]
                found |= self.body()
                self.answer(found)

            do_PUT = do_PATCH

            def body(self) -> dict[str, str]:
                value = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                return {"body": value["body"]}

            def answer(self, value: object) -> None:
                token = self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"]
                assert token in ("Bearer secret", "secret")
                forge.seen.append((self.command, self.path.partition("?")[0]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ours(self) -> list[str]:
        return [c["body"] for c in self.comments if c["body"].startswith("<!-- orloj-plan")]


@pytest.fixture
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.server.shutdown()
    made.server.server_close()


def snippet(heading: str) -> Any:
    part = PAGE.read_text(encoding="utf-8").partition(f"### {heading}")[2]
    return YAML(typ="safe").load(part.partition("```yaml\n")[2].partition("```")[0])


def feature(desk: Desk) -> Clone:
    desk.repository.git("checkout", "--quiet", "-b", "feature")
    desk.push("feature", opener=agent("opener", "Open. @everyone\n```\n/merge\n"))
    return Clone(desk, "feature")


def test_the_workflow_for_github_comments_once_and_edits_it_in_place(
    desk: Desk, forge: Forge
) -> None:
    workflow = snippet("GitHub")
    assert set(workflow) == {"name", "on", "permissions", "jobs"}
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    steps = {step.get("name", "x"): step for step in workflow["jobs"]["plan"]["steps"]}
    # What somebody else named must come in by the environment, never into the script.
    assert not any("${{" in step.get("run", "") for step in steps.values())
    known = {
        "github.token": "secret",
        "github.base_ref": "main",
        "github.api_url": forge.url,
        "github.repository": "o/r",
        "github.event.number": "7",
    }

    def filled(text: str) -> str:
        for name, value in known.items():
            text = text.replace("${{ " + name + " }}", value)
        assert "${{" not in text
        return text

    clone = feature(desk)
    for _ in range(2):
        for name in ("Validate", "Plan", "Comment"):
            step = steps[name]
            more = {key: filled(value) for key, value in step.get("env", {}).items()}
            python = step.get("shell") == "python"
            argv = [sys.executable, "-c"] if python else ["bash", "-eo", "pipefail", "-c"]
            clone.run(*argv, step["run"], **more)
    (page,) = forge.ours()
    assert "1 to create" in page
    writes = [seen for seen in forge.seen if seen[0] != "GET"]
    assert writes == [
        ("POST", "/repos/o/r/issues/7/comments"),
        ("PATCH", "/repos/o/r/issues/comments/121"),
    ]


def test_the_job_for_gitlab_comments_once_and_fails_with_the_plan(
    desk: Desk, forge: Forge
) -> None:
    (job,) = snippet("GitLab").values()
    more = {
        "CI_API_V4_URL": f"{forge.url}/api/v4",
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "ORLOJ_TOKEN": "secret",
    }
    clone = feature(desk)
    script = "\n".join(line for line in job["script"] if not line.startswith("pip "))
    clone.run("bash", "-e", "-c", script, **more)
    (clone.folder / "opener.yaml").write_text(agent("opener", "Open.", "  modle: x\n"))
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    clone.git(*who, "commit", "--quiet", "--all", "--message=Break it")
    clone.run("bash", "-e", "-c", script, code=1, **more)
    (page,) = forge.ours()
    assert "this commit cannot be applied" in page
    notes = "/api/v4/projects/3/merge_requests/7/notes"
    assert [seen for seen in forge.seen if seen[0] != "GET"] == [
        ("POST", notes),
        ("PUT", f"{notes}/121"),
    ]
