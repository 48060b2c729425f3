"""`orloj plan`: show what applying the repository would change, and change nothing.

Exit codes: 0 done, 1 error or problems in manifests, 2 changes pending (only with
`--detailed-exitcode`), 3 blocked. `--json` prints what `views.plan_json` documents, or
`{"problems": [...]}` where the commit has errors. `--markdown` prints the same for a pull
request, `--sarif` writes problems and findings for code review tools, and `--replay` decides
on the calls of the past again.
"""

import json
import os
from pathlib import Path
from typing import Any

import click

from reconciler import __version__
from reconciler import control as controls
from reconciler.change import Plan
from reconciler.cli import planning
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Moment, source_option
from reconciler.cli.planning import Asked, Found
from reconciler.cli.replay import past_under
from reconciler.preview import Preview
from reconciler.views import problems as problem_view
from reconciler.views.plain import plain
from reconciler.views.plan import block_lines, plan_words
from reconciler.views.plan_json import blocks_json, plan_json
from reconciler.views.plan_line import Telling
from reconciler.views.plan_markdown import plan_markdown, problems_markdown
from reconciler.views.replay import replay_json, replay_words
from reconciler.views.sarif import sarif
from runner.contract import clock

CHANGES, BLOCKED = 2, 3


@click.command()
@source_option
@click.option(
    "--ref", help="Branch, tag or full ref to plan. Default: the one in the settings."
)
@click.option("--at", help="Plan a commit, or what was applied at a time: 8411f23d, 2h.")
@click.option("--against", help="Plan a clone's HEAD (or --ref) against this base branch.")
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="The clone that --against looks at. Default: this folder.",
)
@click.option(
    "--target", "targets", multiple=True, help="Show only this, and what it needs: agent/*."
)
@click.option("--full", is_flag=True, help="Show what does not change, too.")
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
@click.option("--markdown", "as_markdown", is_flag=True, help="Print it for a pull request.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def command(
    context: Context,
    *,
    source: str,
    ref: str | None,
    at: str | None,
    against: str | None,
    repository: Path,
    targets: tuple[str, ...],
    full: bool,
    out: Path | None,
    sarif_file: Path | None,
    replayed: bool,
    since: int,
    as_json: bool,
    as_markdown: bool,
    detailed_exitcode: bool,
) -> int:
    """Show what applying the repository would change, and who may do more or less then."""
    _refuse_together(as_json, as_markdown, out, (targets, at, against), replayed and against)
    started_us = clock.boot_us()
    asked = Asked(source=source, ref=ref, at=at, against=against, repository=repository)
    with planning.found(context, asked) as found:
        seen = found.seen
        if sarif_file is not None:
            findings = seen.plan.findings if seen.plan else ()
            _write(sarif_file, sarif(seen.problems, findings, __version__))
        if seen.plan is None:
            markdown_for = source if as_markdown else None
            return show_problems(context, seen, as_json, markdown_for=markdown_for)
        planned, telling = planning.told(
            found, targets, full=full, following=lambda made: _following(made, out, asked)
        )
        if out is not None:
            _save(out, plan_json(planned, telling))
        made = (planned, telling, started_us)
        since_us = since if replayed else None
        _show(context, found, made, since_us, as_json=as_json, as_markdown=as_markdown)
    if against is None:
        say_suspended(context, source)
    if planned.blocked:
        return BLOCKED
    return CHANGES if detailed_exitcode and planned.changes else 0


def _refuse_together(
    as_json: bool,
    as_markdown: bool,
    out: Path | None,
    parts: tuple[object, ...],
    replayed: object,
) -> None:
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are two forms of one answer: take one")
    if out is not None and any(parts):
        raise click.UsageError(
            "--out saves what can be applied: a commit as a whole, at the ref of the settings;"
            " what --target, --at and --against show is for reading"
        )
    if replayed:
        raise click.UsageError("--replay reads the calls of a home, and --against asks none")


def say_suspended(context: Context, source: str) -> None:
    """Say that nothing of the plan is applied now, where a person stopped the repository."""
    with context.database.read() as connection:
        standing = controls.control(connection, source)
    if standing.suspended_at is not None:
        context.say(f"Nothing is applied now: {plain(standing.why)}")


def _show(
    context: Context,
    found: Found,
    made: tuple[Plan, Telling, int],
    since_us: int | None,
    *,
    as_json: bool,
    as_markdown: bool,
) -> None:
    planned, telling, started_us = made
    around = found.seen.around
    past = past_under(context, around, since_us) if since_us is not None and around else None
    if as_json:
        more = {"replay": replay_json(past)} if past is not None else {}
        context.show_json(plan_json(planned, telling) | more)
        return
    if as_markdown:
        click.echo(plan_markdown(planned, telling), nl=False)
    else:
        elapsed_ms = (clock.boot_us() - started_us) / 1_000
        context.show(plan_words(planned, elapsed_ms=elapsed_ms, telling=telling))
    if past is not None:
        context.show(replay_words(past))


def show_problems(
    context: Context, seen: Preview, as_json: bool, *, markdown_for: str | None = None
) -> int:
    """Show why there is no plan; the exit code for that."""
    if as_json:
        problems = [problem_view.problem_json(p) for p in seen.problems]
        context.show_json({"problems": problems, "blocks": blocks_json(seen.blocks)})
    elif markdown_for is not None:
        click.echo(problems_markdown(seen.problems, seen.blocks, markdown_for), nl=False)
    elif seen.blocks:
        for line in block_lines(seen.blocks):
            context.show(line)
    else:
        context.show(problem_view.problem_list(seen.problems))
        context.say(f"Commit {seen.commit[:8]} cannot be applied: mend it and push again.")
    return BLOCKED if seen.blocks else 1


def _following(planned: Plan, out: Path | None, asked: Asked) -> str:
    if planned.blocked:
        waits = all(block.until_us is not None for block in planned.blocked)
        by_itself = "nothing: it is applied by itself then"
        return by_itself if waits else "what the lines above say, or another commit"
    if not planned.changes:
        return ""
    if out is not None:
        return f"orloj apply {out}"
    if planned.partial:
        return "orloj plan, without --target, shows all that an apply would do"
    if asked.against is not None:
        return "merge it: the daemon applies what its ref names, and orloj plan says so first"
    if asked.at is not None:
        return "git revert to there and push: the daemon applies what the settings' ref names"
    if asked.ref is not None:
        return f"merge {asked.ref} and push: the daemon applies what the settings' ref names"
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
