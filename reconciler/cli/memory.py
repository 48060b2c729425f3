"""`orloj memory`: what agents keep, looked at and deleted by a person, and noted in the log."""

import asyncio
from collections.abc import Sequence

import click
from sqlalchemy import Connection

from reconciler.cli.asking import actor, noted
from reconciler.cli.context import Context, json_option
from reconciler.privacy import holds
from reconciler.privacy.record import LegalHold
from reconciler.views import memory as view
from runner.contract import audit, clock, errors, kinds
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType, canonical
from runner.memory import Entry as Kept
from runner.memory import desk
from runner.memory.desk import Desk

_NAME = click.argument("name", metavar="NAME")


@click.group()
def command() -> None:
    """List, search and delete what agents keep in a Memory.

    NAME is a Memory, with its namespace if that is not the default, or `task:ID` for what a
    task keeps for itself.
    """


@command.command("list")
@_NAME
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--task", metavar="ID", help="Only what this task wrote last.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=100,
    show_default=True,
    help="How many.",
)
@json_option
@click.pass_obj
def list_entries(
    context: Context, *, name: str, prefix: str, task: str | None, limit: int, as_json: bool
) -> None:
    """List the entries of a memory, sorted by key."""
    memory = _opened(context, name)
    noted(
        context, "memory list", {"memory": name, "prefix": prefix or None, "task": task}, None
    )
    found = _of_task(asyncio.run(memory.entries(prefix, None if task else limit)), task)[:limit]
    if as_json:
        context.show_json([view.entry_json(one) for one in found])
    else:
        context.show(view.entry_list(found))


@command.command("search")
@_NAME
@click.argument("query")
@click.option(
    "--top-k",
    type=click.IntRange(1, desk.TOP_K_MAX),
    default=5,
    show_default=True,
    help="How many.",
)
@json_option
@click.pass_obj
def search_entries(
    context: Context, *, name: str, query: str, top_k: int, as_json: bool
) -> None:
    """Find the entries nearest to a text, as an agent would."""
    memory = _opened(context, name)
    noted(context, "memory search", {"memory": name, "query": query}, None)
    found = asyncio.run(memory.search(query, top_k))
    if as_json:
        context.show_json([view.hit_json(one) for one in found])
    else:
        context.show(view.hit_list(found))


@command.command("delete")
@_NAME
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--prefix", help="Every key that begins so.")
@click.option("--task", metavar="ID", help="Everything that this task wrote last.")
@click.option("--all", "every", is_flag=True, help="Everything.")
@click.option("--reason", help="Why, for the log.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def delete_entries(
    context: Context,
    *,
    name: str,
    keys: tuple[str, ...],
    prefix: str | None,
    task: str | None,
    every: bool,
    reason: str | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete entries for good; what a legal hold covers stays."""
    if [bool(keys), prefix is not None, task is not None, every].count(True) != 1:
        raise errors.Refused("say what: keys, --prefix, --task or --all")
    memory = _opened(context, name)
    found = _of_task(asyncio.run(memory.entries(prefix or "")), task)
    chosen = [one for one in found if not keys or one.key in keys]
    if missing := sorted(set(keys) - {one.key for one in chosen}):
        raise errors.NotFound(f"{name} holds nothing under {missing[0]}: nothing was deleted")
    if not chosen:
        raise errors.NotFound(f"{name} holds nothing of that: nothing was deleted")
    question = f"Delete {view.counted(len(chosen))} of {name} for good?"
    if not yes and not context.confirmed(question, "delete", "deleted"):
        return 1
    with context.database.write() as connection:
        _refuse_held(connection, memory, chosen)
        gone = asyncio.run(memory.forget([one.key for one in chosen]))
        _log(connection, memory, gone, reason)
    if as_json:
        context.show_json({"deleted": gone})
    else:
        click.echo(f"Deleted: {view.counted(len(gone))} of {name}.")
        context.say(f"Next: orloj memory list {name}")
    return 0


def _opened(context: Context, name: str) -> Desk:
    with context.database.read() as connection:
        return desk.opened(connection, name, context.settings)


def _of_task(entries: Sequence[Kept], task: str | None) -> list[Kept]:
    return [one for one in entries if task is None or one.task == task]


def _refuse_held(connection: Connection, memory: Desk, chosen: Sequence[Kept]) -> None:
    standing = holds.standing(connection)
    for one in chosen:
        hold: LegalHold | None = holds.covering(
            standing, task=one.task or None, namespace=memory.namespace, agents={one.agent}
        )
        if hold is not None:
            raise errors.Refused(
                f"the entry {one.key} is under the legal hold {hold.id}:"
                f" `orloj audit hold release {hold.id}` comes first"
            )


def _log(connection: Connection, memory: Desk, gone: list[str], reason: str | None) -> None:
    entry = Entry(
        type=EntryType.MEMORY_DELETED,
        actor=actor(),
        commit=NO_COMMIT,
        resource=memory.resource,
        outcome=view.counted(len(gone)),
        digest=kinds.digest(canonical(sorted(gone))),
        reason=reason,
        private=(("keys", sorted(gone)),),
    )
    audit.append(connection, [entry], clock.now_us())
