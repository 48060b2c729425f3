"""The main job from end to end, on a repository that a small company would have.

Push, plan, apply, run, audit: each step is the command that a person types, and what it
prints. Everything stays in `.demo/`, which is wiped at the start.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DEMO: Final = ROOT / ".demo"
HOME: Final = DEMO / "state"
ORIGIN: Final = DEMO / "agents.git"
CLONE: Final = DEMO / "agents"
WAIT_S: Final = 60.0
LINES_MAX: Final = 56
AGENT: Final = Path("agents/compliance-checker.yaml")

ENVIRONMENT: Final = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "ORLOJ_HOME": str(HOME),
    **{f"GIT_{who}_NAME": "Dana Meyer" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "dana@northwind.example" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def main() -> None:
    """Show everything; any step that fails ends it with that step's words."""
    started = time.monotonic()
    prepare()
    title("1. A repository, pushed, and the plan for it")
    commit("Declare our agents")
    push()
    show("orloj plan", keep=headline)
    print("(The fields of each are left out here.)")
    title("2. Daemon and runner start: the commit is applied, its tasks run")
    with running() as up:
        print("$ orloj up &")
        wait("the first commit to be applied", lambda: applied(head()))
        wait("its tasks to end", lambda: finished(3))
        show("orloj tasks")
        change_of_a_prompt()
        mistake()
        evidence()
        title("7. Stop")
        up.terminate()
        code = up.wait(timeout=WAIT_S)
        print("$ kill %1")
        print(*(DEMO / "up.log").read_text().splitlines()[-6:], sep="\n")
        check(code == 0, f"orloj up ended with code {code}")
    print(f"\nDone in {time.monotonic() - started:.0f} s. All of it is in {DEMO.name}/.")


def prepare() -> None:
    """An empty home, a bare repository to push to, and the documents to scan."""
    shutil.rmtree(DEMO, ignore_errors=True)
    (HOME / "files/customers").mkdir(parents=True)
    HOME.chmod(0o700)
    url = json.dumps(str(ORIGIN), ensure_ascii=False)
    (HOME / "orloj.toml").write_text(f"[source]\nurl = {url}\n", encoding="utf-8")
    shutil.copytree(ROOT / "sample-repo/documents", HOME / "files/documents")
    (HOME / "files/customers/customers.csv").write_text("name\nTidewater\n", encoding="utf-8")
    shutil.copytree(ROOT / "sample-repo", CLONE)
    run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(ORIGIN), folder=DEMO)
    run("git", "init", "--quiet", "--initial-branch=main")
    run("git", "remote", "add", "origin", str(ORIGIN))


def change_of_a_prompt() -> None:
    """A change is planned on a branch; pushed to main, it is applied within moments."""
    title("3. A prompt changes: planned on a branch, applied by a push")
    edit(
        AGENT,
        "Flag each finding once, with its file",
        "Flag each finding at once, with its file",
    )
    commit("Flag findings at once")
    push("proposal")
    show("orloj plan --ref proposal")
    began = datetime.now(UTC)
    push()
    returned = datetime.now(UTC)
    wait("the second commit to be applied", lambda: applied(head()))
    at = datetime.fromisoformat(status()["source"]["applied_at"])
    pushed_ms, took_ms = ((end - began).total_seconds() * 1000 for end in (returned, at))
    print(f"git push took {pushed_ms:.0f} ms; {took_ms:.0f} ms after its start it was applied.")


def mistake() -> None:
    """A commit with a mistake is rejected as a whole; the last good one stays."""
    title("4. A push with a mistake: rejected with its place, the last good state stays")
    good = head()
    edit(AGENT, "  model_ref: scripted", "  modell_ref: scripted")
    commit("Rename a field")
    push()
    wait("the bad commit to be rejected", lambda: attempted(head()))
    show("orloj status", keep=until_resources)
    check(applied(good), "the last good commit does not stay applied")
    run("git", "revert", "--no-edit", "HEAD")
    push()
    wait("the mended commit to be applied", lambda: applied(head()))


def evidence() -> None:
    """What happened, as the status, a task, the issues and the audit log have it."""
    title("5. What the agents did")
    show("orloj status")
    (scan,) = [task for task in tasks() if task["task_name"] == "compliance-scan"]
    show(f"orloj task {scan['id']}")
    show("cat .demo/state/files/issues.jsonl")
    issues = (HOME / "files/issues.jsonl").read_text().splitlines()
    check(len(issues) == 3, f"{len(issues)} issues were flagged, not 3")
    title("6. The audit log: the call that a mail ordered was denied")
    show("orloj audit log --decision deny")
    show(f"orloj audit log --task {scan['id']} --type action. --limit 6")
    show("orloj audit verify")
    denied = json.loads(output("orloj", "audit", "log", "--decision", "deny", "--json"))
    check([entry["tool"] for entry in denied] == ["export-customers"], "nothing was denied")


@contextmanager
def running() -> Iterator[subprocess.Popen[bytes]]:
    """`orloj up` in the background; it never outlives the demo."""
    with (DEMO / "up.log").open("wb") as log:
        process = subprocess.Popen(
            ["orloj", "up"], env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=WAIT_S)


def title(text: str) -> None:
    """The heading of a part."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(command: str, keep: Callable[[list[str]], list[str]] | None = None) -> None:
    """Print a command as a person types it, and what it prints."""
    print(f"$ {command}", flush=True)
    lines = output(*command.split()).rstrip().splitlines()
    lines = keep(lines) if keep else lines
    print(*lines[:LINES_MAX], sep="\n")
    if len(lines) > LINES_MAX:
        print(f"  ... and {len(lines) - LINES_MAX} lines more")
    print(flush=True)


def headline(lines: list[str]) -> list[str]:
    """A plan without its fields."""
    return [line for line in lines if not line.startswith("   ")]


def until_resources(lines: list[str]) -> list[str]:
    """The part of the status that is about the repository."""
    return lines[: lines.index("Resources") - 1]


def commit(message: str) -> None:
    """Commit everything in the clone."""
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", message)


def push(branch: str = "main") -> None:
    """Push the clone's commit, as people do."""
    print(f"$ git push origin {branch}", flush=True)
    run("git", "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file of the clone."""
    file = CLONE / path
    text = file.read_text(encoding="utf-8")
    check(text.count(old) == 1, f"{path} does not say {old!r} once")
    file.write_text(text.replace(old, new), encoding="utf-8")


def head() -> str:
    """The commit of the clone."""
    return run("git", "rev-parse", "HEAD").strip()


def status() -> dict[str, Any]:
    """`orloj status` as JSON."""
    value: dict[str, Any] = json.loads(output("orloj", "status", "--json"))
    return value


def tasks() -> list[dict[str, Any]]:
    """`orloj tasks` as JSON."""
    value: list[dict[str, Any]] = json.loads(output("orloj", "tasks", "--json"))
    return value


def applied(sha: str) -> bool:
    """Whether a commit is what is applied."""
    return bool(status()["source"]["applied_commit"] == sha)


def attempted(sha: str) -> bool:
    """Whether the daemon tried a commit."""
    return bool(status()["source"]["attempted_commit"] == sha)


def finished(count: int) -> bool:
    """Whether that many tasks are there and all succeeded; a failed one ends the demo."""
    found = tasks()
    for task in found:
        check(task["state"] not in ("failed", "dead"), f"a task failed: {task['error']}")
    return len([task for task in found if task["state"] == "succeeded"]) == count


def wait(what: str, true: Callable[[], bool]) -> None:
    """Look again until something is true."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > deadline:
            print((DEMO / "up.log").read_text(), file=sys.stderr)
            check(False, f"waited {WAIT_S:.0f} s for {what}")
        time.sleep(0.05)


def output(*command: str) -> str:
    """What a command prints; exit code 0 is expected."""
    return run(*command, folder=ROOT)


def run(*command: str, folder: Path = CLONE) -> str:
    """What a command prints; the demo ends with its complaint when it fails."""
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    check(done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def check(true: bool, otherwise: str) -> None:
    """End the demo unless something holds."""
    if not true:
        sys.exit(f"\nThe demo failed: {otherwise}")


main()
