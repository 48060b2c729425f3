"""`orloj health`: how each resource is, from what is recorded; `--wait` until all are well.

Exit codes: 0 all are well, 1 one is not, 124 the time ran out. `--json` prints `{counts,
resources[{resource, health, why}]}`.
"""

import time
from typing import Final

import click

from reconciler import resource_name
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Length
from reconciler.health import health
from reconciler.health.rules import Finding, Health
from reconciler.resource import git_owner
from reconciler.views import health as view
from reconciler.views.plain import plain
from runner.contract import clock
from runner.contract.kinds import Key

TIME_RAN_OUT: Final = 124  # As timeout(1) says it.
LOOK_EVERY_S: Final = 0.3


@click.command()
@click.argument("resource", required=False)
@click.option("--source", help="Only what this repository declares.")
@click.option("--all", "everything", is_flag=True, help="List those that are well, too.")
@click.option("--wait", is_flag=True, help="Wait until none is on its way any more.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Length(),
    default="5m",
    show_default=True,
    help="How long to wait with --wait.",
)
@json_option
@click.pass_obj
def command(
    context: Context,
    *,
    resource: str | None,
    source: str | None,
    everything: bool,
    wait: bool,
    timeout_s: float,
    as_json: bool,
) -> int:
    """Say how resources are: Healthy, Progressing, Degraded, Suspended, Missing, Unknown.

    RESOURCE is one of them, as `triage` or `agent/default/triage`. Nothing is called.
    """
    deadline_us = clock.boot_us() + int(timeout_s * 1_000_000)
    owner = None if source is None else git_owner(source)
    key = _key(context, resource)
    found = _look(context, key, owner)
    while wait and _on_its_way(found) and clock.boot_us() < deadline_us:
        time.sleep(LOOK_EVERY_S)
        found = _look(context, key, owner)
    if as_json:
        context.show_json(view.health_json(found))
    else:
        context.show(view.health_words(found, everything=everything))
    if (bad := view.worst(found)) is not None:
        context.say(f"{bad.key} is {bad.health.value}: {plain(bad.why)}")
        return 1
    if wait and _on_its_way(found):
        slow = next(one for one in found if one.health is Health.PROGRESSING)
        context.say(f"The time ran out: {slow.key} is Progressing: {plain(slow.why)}")
        return TIME_RAN_OUT
    return 0


def _key(context: Context, resource: str | None) -> Key | None:
    if resource is None:
        return None
    with context.database.read() as connection:
        return resource_name.resolve(connection, resource)


def _look(context: Context, key: Key | None, owner: str | None) -> list[Finding]:
    with context.database.read() as connection:
        return health.findings(connection, key=key, owner=owner)


def _on_its_way(found: list[Finding]) -> bool:
    """Whether waiting may change something, and nothing is ill that will not mend itself."""
    ill = any(one.health in view.BAD for one in found)
    return not ill and any(one.health is Health.PROGRESSING for one in found)
