"""`orloj plan`: show what applying the repository would change, and change nothing.

Exit codes: 0 done, 1 error or problems in manifests, 2 changes pending (only with
`--detailed-exitcode`), 3 blocked. `--json` prints what `views.plan_json` documents, or
`{"problems": [...]}` where the commit has errors. `--sarif` writes problems and findings for
code review tools, and `--replay` decides on the calls of the past again.
"""

import json
import os
from pathlib import Path
from typing import Any

import click

from reconciler import __version__
from reconciler import control as controls
from reconciler.change import Plan
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Moment, source_option
from reconciler.cli.replay import past_under
from reconciler.plan import explain
from reconciler.preview import Preview
from reconciler.reconcile import Reconciler
from reconciler.views import problems as problem_view
from reconciler.views.plain import plain
from reconciler.views.plan import block_lines, plan_words
from reconciler.views.plan_json import blocks_json, plan_json
from reconciler.views.replay import replay_json, replay_words
from reconciler.views.sarif import sarif
from runner.contract import clock

CHANGES, BLOCKED = 2, 3


@click.command()
@source_option
@click.option(
    "--ref", help="Branch, tag or full ref to plan. Default: the one in the settings."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the plan, to be applied once by `orloj apply FILE`.",
)
@click.option(
    "--sarif",
    "sarif_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write problems and findings to a file, as SARIF 2.1.0.",
)
@click.option("--replay", "replayed", is_flag=True, help="Decide on past calls again.")
@click.option(
    "--since", type=Moment(), default="30d", help="Replay tasks queued since. Default: 30d."
)
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def command(
    context: Context,
    *,
    source: str,
    ref: str | None,
    out: Path | None,
    sarif_file: Path | None,
    replayed: bool,
    since: int,
    as_json: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what applying the repository would change, and who may do more or less then."""
    started_us = clock.boot_us()
    seen = Reconciler(context.settings, context.database, source, ref).preview()
    if sarif_file is not None:
        findings = seen.plan.findings if seen.plan else ()
        _write(sarif_file, sarif(seen.problems, findings, __version__))
    if seen.plan is None:
        return show_problems(context, seen, as_json)
    planned = explain(seen.plan)
    if out is not None:
        _save(out, plan_json(planned))
    past = past_under(context, seen.around, since) if replayed and seen.around else None
    if as_json:
        more = {"replay": replay_json(past)} if past is not None else {}
        context.show_json(plan_json(planned) | more)
    else:
        elapsed_ms = (clock.boot_us() - started_us) / 1_000
        following = _following(planned, out, ref)
        context.show(plan_words(planned, elapsed_ms=elapsed_ms, following=following))
        if past is not None:
            context.show(replay_words(past))
    say_suspended(context, source)
    if planned.blocked:
        return BLOCKED
    return CHANGES if detailed_exitcode and planned.changes else 0


def say_suspended(context: Context, source: str) -> None:
    """Say that nothing of the plan is applied now, where a person stopped the repository."""
    with context.database.read() as connection:
        standing = controls.control(connection, source)
    if standing.suspended_at is not None:
        context.say(f"Nothing is applied now: {plain(standing.why)}")


def show_problems(context: Context, seen: Preview, as_json: bool) -> int:
    """Show why there is no plan; the exit code for that."""
    if as_json:
        problems = [problem_view.problem_json(p) for p in seen.problems]
        context.show_json({"problems": problems, "blocks": blocks_json(seen.blocks)})
    elif seen.blocks:
        for line in block_lines(seen.blocks):
            context.show(line)
    else:
        context.show(problem_view.problem_list(seen.problems))
        context.say(f"Commit {seen.commit[:8]} cannot be applied: mend it and push again.")
    return BLOCKED if seen.blocks else 1


def _following(planned: Plan, out: Path | None, ref: str | None) -> str:
    if planned.blocked and all(block.until_us is not None for block in planned.blocked):
        return "nothing: it is applied by itself then"
    if planned.blocked:
        return "mend what blocks it and push again"
    if not planned.changes:
        return ""
    if out is not None:
        return f"orloj apply {out}"
    if ref is not None:
        return f"merge {ref} and push: the daemon applies what the settings' ref names"
    return "orloj reconcile --wait, or apply exactly this: orloj plan --out FILE"


def _save(path: Path, value: dict[str, Any]) -> None:
    """Write the plan for its owner's eyes only: it holds every manifest that changes."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False)
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write what others may read: nothing stands in it but what the plan shows."""
    try:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
