"""`orloj limits`: how full every limit is, who waits, and the worst window in the log."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.views import limits as view
from runner.contract import clock
from runner.limit import records as limit_records
from runner.limit.records import LimitRecord
from runner.limit.worst_window import Worst

_MINUTE_US = 60_000_000


@click.command()
@click.argument("name", metavar="[AGENT]", required=False)
@click.option("--verify", is_flag=True, help="Exit with 1 when the log shows a limit exceeded.")
@click.option(
    "--minutes",
    type=click.IntRange(1),
    help="Only the last so many minutes of the log. Default: all of it.",
)
@json_option
@click.pass_obj
def command(
    context: Context, name: str | None, verify: bool, minutes: int | None, as_json: bool
) -> int:
    """Show limits: what is in use, who waits, and the worst window of the audit log.

    The worst window is recomputed from the log alone, for every limit of the agent, tool or
    task that is named, or of all.
    """
    now_us = clock.now_us()
    since_us = None if minutes is None else now_us - minutes * _MINUTE_US
    with context.database.read() as connection:
        records = limit_records.limit_records(connection, name, now_us)
        worst = limit_records.proof(connection, name, since_us)
    found = _joined(records, worst)
    if as_json:
        context.show_json([view.limit_json(one) for one in found])
    else:
        context.show(view.limit_list(found))
    return 1 if verify and not all(one.holds for one in found) else 0


def _joined(records: list[LimitRecord], worst: list[Worst]) -> list[view.LimitStatus]:
    """What is declared with what the log says of it, and what the log alone knows."""
    proofs = {(one.dimension.value, one.scope): one for one in worst}
    found = [_status(one, proofs.pop((one.dimension, one.scope), None)) for one in records]
    for proof in proofs.values():
        record = LimitRecord(proof.dimension.value, proof.scope, proof.bound, 0, 0, None, "-")
        found.append(_status(record, proof))
    return found


def _status(record: LimitRecord, proof: Worst | None) -> view.LimitStatus:
    return view.LimitStatus(
        dimension=record.dimension,
        scope=record.scope,
        bound=record.bound,
        used=record.used,
        waiting=record.waiting,
        next_due_us=record.next_due_us,
        rule=record.rule,
        worst=None if proof is None else proof.used,
        worst_bound=None if proof is None else proof.bound,
        worst_at_us=None if proof is None else proof.at_us,
        overruns=0 if proof is None else proof.overruns,
        holds=proof is None or proof.holds,
    )
