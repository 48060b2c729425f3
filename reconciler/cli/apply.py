"""`orloj apply`: carry out a saved plan, or apply files by hand.

Exit codes: 0 done, 1 error or not confirmed, 3 blocked, 4 stale: the plan was made for
another commit or another state.
"""

import json
from pathlib import Path
from typing import Any, Final

import click

from reconciler import apply, by_hand
from reconciler.change import Plan
from reconciler.cli.context import Context
from reconciler.cli.plan import BLOCKED, show_problems
from reconciler.git.watch import watchable
from reconciler.plan import explain
from reconciler.reconcile import Reconciler
from reconciler.views import problems as problem_view
from reconciler.views.plain import plain
from reconciler.views.plan import plan_words
from reconciler.views.plan_json import plan_json
from runner.contract import clock, errors, seal, settings, wake

STALE: Final = 4
PLAN_BYTES_MAX: Final = 256 * 1024 * 1024
_NEXT: Final = "Next: orloj status"


@click.command()
@click.argument("plan_file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Manifest or folder to apply by hand; may be given again.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    context: Context, plan_file: Path | None, files: tuple[Path, ...], yes: bool
) -> int:
    """Apply a saved plan (PLAN_FILE), or manifests from files (-f).

    What is applied from files belongs to you: Git never deletes it, and takes it over when
    the repository declares the same.
    """
    if (plan_file is None) == (not files):
        raise click.UsageError("give a saved plan, or -f with a file or folder")
    try:
        if plan_file is not None:
            return _apply_saved(context, plan_file)
        return _apply_files(context, files, yes)
    except errors.PlanStale as error:
        context.say(f"Stale: {error}")
        return STALE


def _apply_saved(context: Context, path: Path) -> int:
    saved = _read_plan(path)
    if saved.get("partial") is not None:
        raise click.ClickException(
            f"{path} shows only a part of a plan, and a commit is applied whole; make it"
            " without --target"
        )
    reconciler = Reconciler(context.settings, context.database)
    commit = reconciler.resolve()
    if commit != saved["source"]["commit"]:
        raise errors.PlanStale(
            f"the plan is for commit {saved['source']['commit']}, and {commit} is what"
            f" {context.settings.source.ref} names now; run orloj plan again"
        )
    seen = reconciler.preview(commit)
    if seen.plan is None:
        return show_problems(context, seen, as_json=False)
    if seen.plan.id != saved["id"]:
        raise errors.PlanStale(
            "what is recorded changed since the plan was made, or the plan was applied"
            " already; run orloj plan again"
        )
    if seen.plan.blocked:
        context.show(plan_words(explain(seen.plan)))
        return BLOCKED
    _refuse_edited(path, saved, seen.plan)
    if not seen.plan.changes and commit == seen.plan.target.previous_commit:
        context.show(plan_words(seen.plan))
        return 0
    reconciler.apply(seen.plan, clock.now_us())
    return _done(context, seen.plan)


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
    apply.apply(context.database, seen.plan, clock.now_us())
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
    if any(change.key.kind == "TaskSchedule" for change in planned.changes):
        # The daemon did not apply this itself, and has to hear of another next moment.
        context.database.knock(wake.DAEMON)
    click.echo(f"Applied plan {planned.short_id}: {apply.counted(planned)}. {_NEXT}")
    return 0
