"""The command line: one module per command, imported only when it is called.

A command translates arguments into a call, the value it gets into words by a view, and
the outcome into an exit code: 0 done, 1 error, 2 changes pending, 3 blocked, 4 stale.
"""

import io
import os
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

from reconciler import __version__
from reconciler.cli.context import Context
from reconciler.cli.lazy import LazyGroup
from runner.contract import errors

COMMANDS: Final = {
    "apply": "Apply manifests from files, or a saved plan.",
    "approvals": "List requests for approval, or show one.",
    "approve": "Say yes to exactly one call.",
    "audit": "Read, verify and export the audit log.",
    "can-i": "Say whether an agent may do something, and why.",
    "cancel": "Stop tasks, wherever they are.",
    "convert": "Write manifests in the native or the public form.",
    "daemon": "Run the reconciler: make the state follow the repository.",
    "dead": "List, show, retry and drop dead letters.",
    "deny": "Say no to a call.",
    "diff": "Show what differs between two commits, or who may do what.",
    "drift": "Show what is not as it was applied.",
    "drill": "Let faults strike, and see that nothing is called.",
    "eval": "Ask agents the samples of a dataset, and compare the scores.",
    "events": "Show what happened; -f follows.",
    "graph": "Draw a system, and where a task is in it.",
    "health": "Say how each resource is, and wait until it is well.",
    "history": "Show what was applied, by whom, and with which plan.",
    "hook": "Show the plan at git push, and refuse what cannot be applied.",
    "init": "Make a repository of manifests to start from.",
    "limits": "Show limits, what is in use, and their worst window.",
    "logs": "Show what agents did, step by step; -f follows.",
    "mcp": "Pin the tools of MCP servers.",
    "migrate": "Bring the database to the newest schema.",
    "notifications": "Show whom events were told, and what waits.",
    "notify": "Try the targets of notifications.",
    "permissions": "Show what agents may do, tool by tool.",
    "plan": "Show what applying the repository would change.",
    "reconcile": "Make the daemon look at the repository now.",
    "resume": "Let suspended repositories go on.",
    "retry": "Queue tasks again that did not succeed.",
    "rollback": "Go back to an earlier commit, by a new one.",
    "run": "Run an agent once and show its answer.",
    "schedules": "List schedules, their last and their next runs.",
    "schema": "Print the JSON Schema of the manifests.",
    "secret": "Seal values so that they may stand in Git, and keep their keys.",
    "state": "Move the state to another database.",
    "status": "Show what is applied, what runs and what is stuck.",
    "suspend": "Stop applying repositories until they are resumed.",
    "task": "Show one task, or say what became of its interrupted call.",
    "tasks": "List tasks.",
    "trace": "Walk a resource back to its line, commit and person.",
    "trust": "Show who signed the commits that come next.",
    "up": "Run daemon and worker in one terminal.",
    "validate": "Check manifests without applying them.",
    "wait": "Wait until tasks are over.",
    "webhooks": "List task webhooks, their addresses and last deliveries.",
    "why": "Walk a call back to the line, the commit and the people behind it.",
    "worker": "Run the dispatcher and its workers; drain or restart them.",
    "workers": "List worker processes.",
}


@click.group(
    cls=LazyGroup,
    package=__name__,
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="orloj")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the state and settings. Default: ORLOJ_HOME, else the user's state folder.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
@click.pass_context
def group(ctx: click.Context, home: Path | None, debug: bool) -> None:
    """AI agents as infrastructure, deployed by git push."""
    ctx.obj = Context(home)


def main() -> NoReturn:
    """Run the command line; an error we foresaw is one line and exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of another encoding gets an escape for what it cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = group.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = 1
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = 130
    except BrokenPipeError:
        _forget_output()
        code = 1
    except (errors.OrlojError, OSError) as error:
        click.echo(f"Error: {_in_words(error)}", err=True)
        _forget_output()
        code = 1
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        click.echo(
            f"Error: {type(error).__name__}: a fault of orloj itself; nothing more was done. "
            "Run it again with `orloj --debug ...` and report what it prints.",
            err=True,
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _forget_output() -> None:
    """Let what cannot be written go, or the interpreter tries again at exit and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_words(error: Exception) -> str:
    """What the world refused: a full disk, say, or a file that belongs to somebody else."""
    if not isinstance(error, OSError):
        return str(error)
    if "--debug" in sys.argv:
        raise error
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or type(error).__name__}"
