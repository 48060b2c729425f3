"""`orloj audit erase`: erase what stands beside the log."""

from typing import Final

import click

from reconciler.cli.asking import actor
from reconciler.cli.context import Context
from reconciler.privacy import erasure
from reconciler.privacy.erasure import Erased, Order
from runner import tasks
from runner.contract import clock, errors, settings

_APPROVERS: Final = "SELECT DISTINCT name FROM resource WHERE kind = 'Approver' ORDER BY name"


@click.command()
@click.option("--task", "task_ids", multiple=True, metavar="ID", help="A task that is over.")
@click.option("--person", "names", multiple=True, metavar="NAME", help="A person's name.")
@click.option(
    "--field", "fields", multiple=True, metavar="SEQ:FIELD", help="One value of an entry."
)
@click.option("--basis", required=True, help="On what ground: `GDPR 17(1)(b)`, a letter.")
@click.option("--requested-by", metavar="NAME", help="Who asked. Default: who runs this.")
@click.option("--approved-by", required=True, metavar="NAME", help="Who agreed: another one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def command(
    context: Context,
    *,
    task_ids: tuple[str, ...],
    names: tuple[str, ...],
    fields: tuple[str, ...],
    basis: str,
    requested_by: str | None,
    approved_by: str,
    yes: bool,
) -> int:
    """Erase what stands beside the log; entries stay, and every proof with them."""
    if not (task_ids or names or fields):
        raise errors.Refused("say what: --task, --person or --field")
    chosen = [_field(text) for text in fields]
    asked_by = requested_by or settings.person()
    if asked_by.casefold() == approved_by.casefold():
        raise errors.Refused(f"{approved_by} asked for it: somebody else must approve")
    count = len(task_ids) + len(names) + len(fields)
    question = f"Erase {count} {'thing' if count == 1 else 'things'} for good?"
    if not yes and not context.confirmed(question, "erase", "erased"):
        return 1
    order = Order(actor=actor(), requested_by=asked_by, approved_by=approved_by, basis=basis)
    erased = Erased(context.settings.memories)
    with context.database.write() as connection:
        known = list(connection.exec_driver_sql(_APPROVERS).scalars())
        if known and approved_by not in known:
            raise errors.Refused(f"{approved_by} is no Approver; those are: {', '.join(known)}")
        ids = [tasks.resolve(connection, task) for task in task_ids]
        erasure.tasks(connection, ids, erased)
        erasure.values(connection, chosen, erased)
        for name in names:
            erasure.person(connection, name, erased)
        erasure.done(connection, erased, order, clock.now_us())
    click.echo(f"Erased: {erased.counted}; entry {erased.seq} tells of it.")
    if not context.database.emptied():
        context.say(
            "Somebody reads the database now: its WAL file keeps a copy until they end."
        )
    context.say("Next: orloj audit erasures")
    return 0


def _field(text: str) -> tuple[int, str]:
    seq, _, name = text.partition(":")
    if not (seq.isdecimal() and name):
        raise errors.Refused(f"{text} is not SEQ:FIELD, as 17:reason")
    return int(seq), name
