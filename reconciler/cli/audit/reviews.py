"""`orloj audit reviews`: the reviews of the log, and the times without one."""

import click

from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Length, Moment
from reconciler.privacy import reviews
from reconciler.views import privacy as view
from runner.contract import clock


@click.command()
@click.option("--every", type=Length(), help="How often reviews are due: `1d`.")
@click.option("--since", type=Moment(), help="Count the gaps from here on. Default: 30d.")
@json_option
@click.pass_obj
def command(context: Context, every: float | None, since: int | None, as_json: bool) -> int:
    """List reviews, oldest first; 1 when one is missing by the cadence of --every."""
    now_us = clock.now_us()
    with context.database.read() as connection:
        found = reviews.listed(connection)
    gaps = []
    if every is not None:
        begin = since if since is not None else now_us - 30 * 86_400_000_000
        gaps = reviews.gaps(found, int(every * 1_000_000), begin, now_us)
    if as_json:
        context.show_json(view.reviews_json(found, gaps))
    else:
        context.show(view.review_list(found, gaps))
    return 1 if gaps else 0
