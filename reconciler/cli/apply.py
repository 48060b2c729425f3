"""`orloj apply`: carry out a plan, by its id or as it was saved, or apply files by hand.

To name a plan is to approve it: the id is bound to the commit and to the recorded state.

Exit codes: 0 done, 1 error or not confirmed, 3 blocked, 4 stale: the plan was made for
another commit or another state.
"""

import json
from pathlib import Path
from typing import Any, Final

import click

from reconciler import apply, by_hand, override
from reconciler.change import Plan
from reconciler.cli.context import Context
from reconciler.cli.parameters import source_option
from reconciler.cli.plan import BLOCKED, show_problems
from reconciler.gate import approval
from reconciler.git.watch import watchable
from reconciler.override import Override, OverrideKind
from reconciler.plan import explain
from reconciler.push import options
from reconciler.reconcile import Reconciler
from reconciler.resource import person_owner
from reconciler.views import problems as problem_view
from reconciler.views.plain import plain
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from runner import decisions
from runner.contract import clock, errors, seal, settings, wake
from runner.contract.settings import DEFAULT_SOURCE

STALE: Final = 4
PLAN_BYTES_MAX: Final = 256 * 1024 * 1024
_NEXT: Final = "Next: orloj status"


@click.command()
@click.argument(
    "plan", metavar="[PLAN]", required=False, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Manifest or folder to apply by hand; may be given again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@source_option
@click.pass_obj
def command(
    context: Context, *, plan: Path | None, files: tuple[Path, ...], yes: bool, source: str
) -> int:
    """Apply a plan (PLAN: its id, or the file it was saved to), or manifests from files (-f).

    To apply a plan is to approve it, where the settings ask for an approval. What is applied
    from files belongs to you: Git never deletes it, and takes it over when the repository
    declares the same.
    """
    if (plan is None) == (not files):
        raise click.UsageError("give a plan, or -f with a file or folder")
    try:
        if plan is not None and options.may_call(str(plan)) and not plan.exists():
            return _apply_named(context, source, str(plan), yes)
        if plan is not None:
            return _apply_saved(context, plan)
        return _apply_files(context, files, yes)
    except errors.PlanStale as error:
        context.say(f"Stale: {error}")
        return STALE


def _apply_named(context: Context, source: str, name: str, yes: bool) -> int:
    reconciler = Reconciler(context.settings, context.database, source, cancel=decisions.cancel)
    seen = reconciler.preview()
    if seen.plan is None:
        return show_problems(context, seen, as_json=False)
    if not approval.is_called(seen.plan, name):
        raise errors.PlanStale(
            f"what can be applied now is plan {seen.plan.short_id}, since the commit or the"
            " state is another one; read it with orloj plan"
        )
    planned = approval.approved(seen.plan)
    context.show(plan_words(explain(planned)))
    if planned.blocked:
        return BLOCKED
    if not planned.changes and planned.target.commit == planned.target.previous_commit:
        return 0
    if not yes and not context.confirmed("Apply exactly this?", "apply", "applied"):
        return 1
    _approve(context, seen.plan)
    reconciler.apply(planned, clock.now_us())
    return _done(context, planned)


def _approve(context: Context, planned: Plan) -> None:
    """Write down who approved the plan, where somebody had to."""
    if all(block.reason != approval.REASON for block in planned.blocked):
        return
    target, actor = planned.target, person_owner(settings.person())
    assert target.commit is not None
    given = Override(OverrideKind.PLAN, actor, "orloj apply", planned.id)
    with context.database.write() as connection:
        override.give(connection, target.source, target.commit, [given], clock.now_us())


def _apply_saved(context: Context, path: Path) -> int:
    saved = _read_plan(path)
    if saved.get("partial") is not None:
        raise click.ClickException(
            f"{path} shows only a part of a plan, and a commit is applied whole; make it"
            " without --target"
        )
    source = saved["source"].get("name", DEFAULT_SOURCE)
    reconciler = Reconciler(context.settings, context.database, source, cancel=decisions.cancel)
    commit = reconciler.resolve()
    if commit != saved["source"]["commit"]:
        raise errors.PlanStale(
            f"the plan is for commit {saved['source']['commit']}, and {commit} is what"
            f" {context.settings.followed[source].ref} names now; run orloj plan again"
        )
    seen = reconciler.preview(commit)
    if seen.plan is None:
        return show_problems(context, seen, as_json=False)
    if seen.plan.id != saved["id"]:
        raise errors.PlanStale(
            "what is recorded changed since the plan was made, or the plan was applied"
            " already; run orloj plan again"
        )
    planned = approval.approved(seen.plan)
    if planned.blocked:
        context.show(plan_words(explain(planned)))
        return BLOCKED
    _refuse_edited(path, saved, planned)
    if not planned.changes and commit == planned.target.previous_commit:
        context.show(plan_words(planned))
        return 0
    _approve(context, seen.plan)
    reconciler.apply(planned, clock.now_us())
    return _done(context, planned)


def _refuse_edited(path: Path, saved: dict[str, Any], planned: Plan) -> None:
    """What is applied is computed anew, so a file that shows something else misleads."""
    shown = json.loads(json.dumps(plan_json(explain(planned))))
    if any(
        saved.get(part) != shown[part]
        for part in ("resource_changes", "summary", "permissions")
    ):
        raise click.ClickException(
            f"{path} was edited after it was made, and does not show what would be applied;"
            " nothing was; run orloj plan again"
        )


def _read_plan(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            saved: Any = json.loads(file.read(PLAN_BYTES_MAX))
        if isinstance(saved["id"], str) and isinstance(saved["source"]["commit"], str):
            return dict(saved)
    except OSError as error:
        raise click.ClickException(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        pass
    raise click.ClickException(
        f"{path} is not a saved plan; make one with: orloj plan --out FILE\n"
        f"To apply a manifest: orloj apply -f {path}"
    )


def _apply_files(context: Context, paths: tuple[Path, ...], yes: bool) -> int:
    texts = _texts(context, paths)
    sealer = seal.sealer(context.settings.home)
    person = settings.person()
    seen = by_hand.review(context.database, sealer, person, texts, clock.now_us())
    if seen.plan is None:
        context.show(problem_view.problem_list(seen.problems))
        return 1
    context.show(plan_words(explain(seen.plan)))
    if seen.plan.blocked:
        return BLOCKED
    if not seen.plan.changes:
        return 0
    if not yes and not context.confirmed("Apply these changes?", "apply", "applied"):
        return 1
    apply.apply(context.database, seen.plan, clock.now_us(), cancel=decisions.cancel)
    return _done(context, seen.plan)


def _texts(context: Context, paths: tuple[Path, ...]) -> dict[str, bytes]:
    try:
        files = [
            (str(Path(path, file.relative_to(found))) if found.is_dir() else str(path), file)
            for path in paths
            for found in [_found(context, path)]
            for file in by_hand.manifest_files(found)
        ]
        if not files:
            raise click.ClickException("there is no *.yaml or *.yml file to apply")
        if len(files) > by_hand.FILES_MAX:
            raise click.ClickException(f"more than {by_hand.FILES_MAX} files; use a repository")
        return by_hand.texts_of(files)
    except OSError as error:
        raise click.ClickException(
            f"cannot read {plain(str(error.filename))}: {error.strerror}"
        ) from error


def _found(context: Context, path: Path) -> Path:
    """The file as named, or of that name in the working folder of the repository."""
    if path.exists() or path.is_absolute():
        return path
    folder = watchable(context.settings.source.url)
    if folder is not None and (folder / path).exists():
        context.say(f"There is no {plain(str(path))} here; using {folder / path}.")
        return folder / path
    return path


def _done(context: Context, planned: Plan) -> int:
    kinds = {change.key.kind for change in planned.changes if change.after is not None}
    if kinds & {"TaskSchedule", "EvalRun"}:
        # The daemon did not apply this itself, and has to hear of another next moment.
        context.database.knock(wake.DAEMON)
    if "EvalRun" in kinds:
        context.say("The daemon asks what a run that is not suspended asks: orloj eval list")
    click.echo(f"Applied plan {planned.short_id}: {apply.counted(planned)}. {_NEXT}")
    return 0
