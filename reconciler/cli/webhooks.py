"""`orloj webhooks`: where task webhooks listen, and what they were sent."""

from typing import Final

import click
from sqlalchemy import Connection

from reconciler.cli.context import Context, json_option
from reconciler.delivery import rows as delivery_rows
from reconciler.delivery.rows import Manifest, Standing
from reconciler.views import webhooks as view
from reconciler.web import addresses
from runner.contract import errors
from runner.contract.kinds import TaskWebhook, spec_of

_CLOSED: Final = (
    "No port is open for them: say where the daemon listens, as in web.listen ="
    ' "127.0.0.1:8471", and restart it.'
)


@click.command()
@json_option
@click.pass_obj
def command(context: Context, as_json: bool) -> None:
    """List task webhooks: their addresses, their last delivery, and what was refused."""
    base = addresses.base(context.settings.web)
    with context.database.read() as connection:
        standings = delivery_rows.standings(connection)
        found = [
            _record(connection, one, standings.get(one.key, Standing()), base)
            for one in delivery_rows.manifests(connection)
        ]
    if as_json:
        context.show_json([view.webhook_json(one) for one in found])
    else:
        context.show(view.webhook_list(found, None if base else _CLOSED))


def _record(
    connection: Connection, manifest: Manifest, standing: Standing, base: str
) -> view.WebhookRecord:
    key = manifest.key
    spec, problem = None, standing.problem or None
    try:
        spec = spec_of(delivery_rows.KIND, manifest.body)
    except errors.Refused as error:
        problem = str(error)
    assert spec is None or isinstance(spec, TaskWebhook)
    return view.WebhookRecord(
        namespace=key.namespace,
        name=key.name,
        task="" if spec is None else str(spec.queued(key.namespace)),
        profile="" if spec is None else spec.auth.profile,
        suspended=spec is not None and spec.suspend,
        url=base + addresses.path(delivery_rows.identity(key)),
        accepted=standing.accepted,
        duplicates=standing.duplicates,
        refused=standing.refused,
        delivered_at=standing.delivered_at,
        last_task=standing.task,
        last_state=delivery_rows.state_of(connection, standing.task),
        refused_at=standing.refused_at,
        refusal=standing.refusal,
        problem=problem,
    )
