"""`orloj daemon`: run the reconciler in the foreground."""

import click

from reconciler.cli.context import Context
from reconciler.daemon import Daemon
from reconciler.web import port
from runner import decisions, evaluation_set
from runner.contract import telemetry


@click.command()
@click.pass_obj
def command(context: Context) -> int:
    """Follow the repository until stopped. SIGHUP looks at once; SIGTERM stops cleanly."""
    telemetry.configure()
    try:
        daemon = Daemon(
            context.settings, context.database, decisions.cancel, evaluation_set.pinned
        )
        daemon.run(lambda running: port.opened(context.settings, running, context.database))
    finally:
        context.database.close()
    return 0
