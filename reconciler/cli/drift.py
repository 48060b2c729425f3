"""`orloj drift`: what is recorded and what agents see, against what was applied.

Exit codes: 0 no drift, 1 error, 2 drift. `--json` prints `{sources: [{name, commit,
examined, error, drifts[], by_hand[]}], world[], total}`; a drift has `resource`, `drift`,
`since`, `what`, `place`, `healable` and `fields: [{path, applied, recorded}]`.
"""

from collections.abc import Sequence

import click

from reconciler.cli.context import Context, json_option
from reconciler.drift import explain, settle, world
from reconciler.drift.heal import heal
from reconciler.drift.look import Looked, Looks
from reconciler.drift.settle import Seen
from reconciler.reconcile import Reconciler
from reconciler.repository import source_unset
from reconciler.views import drift as view
from runner.contract import audit, clock, errors, observations, seal, settings
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.world import looking

DRIFTED = 2


@click.command()
@click.argument("names", metavar="[SOURCE]...", nargs=-1)
@click.option("--world", "of_world", is_flag=True, help="Look at the world now, and connect.")
@click.option("--heal", "healing", is_flag=True, help="Put back what the commit declares.")
@click.option("--accept", is_flag=True, help="Take the world as it is for what it should be.")
@click.option("--yes", is_flag=True, help="Heal or accept without being asked.")
@json_option
@click.pass_obj
def command(
    context: Context,
    names: tuple[str, ...],
    *,
    of_world: bool,
    healing: bool,
    accept: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Show what is not as it was applied; compare everything, and change nothing.

    SOURCE is the name of a repository in the settings; none means all of them.
    """
    started_us = clock.boot_us()
    found = [_looked(context, name) for name in _chosen(context, names)]
    if of_world:
        looking.look(context.database, context.settings, clock.now_us(), connect=True)
    report = view.DriftReport(
        now_us=clock.now_us(),
        sources=[shown for _, _, shown in found],
        world=_world(context, found[0][2].name),
        elapsed_ms=(clock.boot_us() - started_us) / 1_000,
    )
    if as_json:
        context.show_json(view.drift_json(report))
    else:
        context.show(view.drift_words(report))
    if any(source.error for source in report.sources):
        return 1
    done = True
    if healing and any(shown.drift.healable for shown in report.standing):
        done = _heal(context, found, yes)
    if accept and report.world:
        done = _accept(context, yes) and done
    if healing or accept:
        return 0 if done else 1
    return DRIFTED if report.standing else 0


def _chosen(context: Context, names: tuple[str, ...]) -> Sequence[str]:
    followed = context.settings.followed
    for name in names:
        if name not in followed:
            raise errors.SettingsInvalid(source_unset(context.settings, name))
    if not followed:
        raise errors.SettingsInvalid(source_unset(context.settings))
    return list(dict.fromkeys(names)) or list(followed)


_Found = tuple[Looks, Looked | None, view.SourceDrift]


def _looked(context: Context, name: str) -> _Found:
    """A whole look at one repository, and how it is shown."""
    reconciler = Reconciler(context.settings, context.database, name)
    followed = list(context.settings.followed)
    looks = Looks(
        reconciler.place,
        seal.sealer(context.settings.home),
        reconciler.digest,
        first=name == followed[0],
        followed=followed,
    )
    try:
        looked = looks.whole()
        with context.database.read() as connection:
            known = settle.since(connection, name)
            declared, fields = explain.explained(connection, looks, looked.drifts)
    except errors.SourceError as error:
        failed = view.SourceDrift(
            name=name, commit=None, examined=0, drifts=(), error=str(error)
        )
        return looks, None, failed
    shown = []
    for item in looked.drifts:
        since = known.get((item.subject, item.kind.value))
        manifest = declared.get(item.key) if item.key else None
        place = f"{manifest.path}:{manifest.line}" if manifest else ""
        edited = fields.get(item.key, ()) if item.key and item.kind == "edited" else ()
        shown.append(view.DriftShown(item, since, place, edited))
    source = view.SourceDrift(
        name=name, commit=looked.commit, examined=looked.examined, drifts=shown
    )
    return looks, looked, source


def _world(context: Context, name: str) -> list[view.DriftShown]:
    with context.database.read() as connection:
        known = settle.since(connection, name)
        found = world.merged(world.drifts(observations.read(connection)))
    return [view.DriftShown(item, known.get((item.subject, item.kind.value))) for item in found]


def _heal(context: Context, found: Sequence[_Found], yes: bool) -> bool:
    question = "Put back what the commit declares, and remove what it does not?"
    if not yes and not context.confirmed(question, "heal", "changed"):
        return False
    for looks, looked, source in found:
        if looked is None:
            continue
        _settle(looks, looked)
        subjects = [shown.drift.subject for shown in source.drifts]
        done = heal(
            looks.place,
            looks,
            looked,
            subjects,
            now_us=clock.now_us(),
            person=f"person:{settings.person()}",
        )
        if done.subjects:
            put, removed = len(done.restored), len(done.removed)
            _settle(looks, looks.whole())
            click.echo(f"{source.name}: {put} put back, {removed} removed. Next: orloj drift")
        elif any(shown.drift.healable for shown in source.drifts):
            raise errors.PlanStale(
                f"another commit of {source.name} was applied meanwhile; run orloj drift again"
            )
    return True


def _settle(looks: Looks, looked: Looked) -> None:
    """Tell what was found as the daemon would."""
    seen = Seen(looked.source, looked.commit, settle.RECORDED, looked.drifts)
    settle.settle(looks.place.database, seen, clock.now_us())


def _accept(context: Context, yes: bool) -> bool:
    """Take what is there for what should be; what is missing stays missing."""
    with context.database.read() as connection:
        changed = [
            item
            for item in observations.read(connection)
            if item.present and item.found != item.value
        ]
    question = f"Take {len(changed)} changes of the world as they are?"
    if not changed or not (yes or context.confirmed(question, "accept", "changed")):
        return not changed
    entries = [
        Entry(
            type=EntryType.DRIFT_HEALED,
            actor=f"person:{settings.person()}",
            commit=NO_COMMIT,
            resource=f"world/{item.subject}",
            outcome="accepted",
            reason=f"{item.aspect} is {item.found}, and was {item.value}",
        )
        for item in changed
    ]
    with context.database.write() as connection:
        observations.accept(connection, [item.place for item in changed])
        audit.append(connection, entries, clock.now_us())
    click.echo(f"Accepted {len(changed)}. Next: orloj drift")
    return True
