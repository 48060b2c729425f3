"""`orloj graph`: how work goes through a system, and where a task is in it."""

from dataclasses import replace

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context, json_option
from reconciler.views import graph as view
from reconciler.views import graph_svg
from reconciler.views.graph import Drawing
from runner import pinning, tasks
from runner.contract.errors import NotFound
from runner.contract.kinds import AgentSystem, Key
from runner.contract.kinds.base import DEFAULT_NAMESPACE, named
from runner.governance import reach
from runner.manifest_set import ManifestSet
from runner.task_record import TaskRecord


@click.command()
@click.argument("name", metavar="SYSTEM|TASK")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "svg"]),
    default="text",
    show_default=True,
    help="Mermaid is drawn by GitHub and most wikis; svg is a picture.",
)
@json_option
@click.pass_obj
def command(context: Context, name: str, form: str, as_json: bool) -> None:
    """Show the graph of a system, or how far a task is in it.

    A task is named by its ID or a unique beginning of it.
    """
    with context.database.read() as connection:
        drawing = _drawing(connection, name)
    if as_json:
        context.show_json(view.to_json(drawing))
    elif form == "text":
        context.show(view.text(drawing))
    else:
        drawn = view.mermaid(drawing) if form == "mermaid" else graph_svg.svg(drawing)
        click.echo(drawn, nl=False)


def _drawing(connection: Connection, name: str) -> Drawing:
    key = named("AgentSystem", name, DEFAULT_NAMESPACE)
    if pinning.find(connection, key) is not None:
        return _drawn(_now(connection, key))
    try:
        task = tasks.record(connection, tasks.resolve(connection, name))
    except NotFound as error:
        raise NotFound(
            f"no system and no task is called {name!r}; `orloj tasks` lists the tasks"
        ) from error
    manifests = (
        _now(connection, _subject(task))
        if task.manifest_set is None
        else pinning.Pins(connection).load(task.manifest_set)
    )
    visits = tuple(tasks.visits(connection, task))
    return replace(_drawn(manifests), task=task.id, state=task.state, visits=visits)


def _subject(task: TaskRecord) -> Key:
    kind, namespace, name = task.subject.split("/")
    return Key(namespace, "Agent" if kind == "agent" else "AgentSystem", name)


def _now(connection: Connection, key: Key) -> ManifestSet:
    return reach.gather(
        key,
        lambda wanted: pinning.find(connection, wanted),
        lambda namespaces: pinning.unnamed(connection, namespaces),
    )


def _drawn(manifests: ManifestSet) -> Drawing:
    subject = manifests.subject
    placed = manifests.resources[subject]
    system = manifests.system or AgentSystem(agents=[subject.name])
    return Drawing(
        f"{subject.namespace}/{subject.name}", f"{placed.path}:{placed.line}", system
    )
