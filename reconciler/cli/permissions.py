"""`orloj permissions`: what agents may do, tool by tool, with the line that says so."""

import click

from reconciler.cli import standing
from reconciler.cli.context import Context, json_option
from reconciler.cli.effective import effective
from reconciler.cli.standing import Standing
from reconciler.views import access as view
from runner.contract import errors
from runner.contract.kinds.base import DEFAULT_NAMESPACE


@click.command()
@click.argument("agent", required=False)
@click.option("--system", help="As agents of this AgentSystem: what hand-offs leave of it.")
@click.option("--at", "commit", help="As this commit of the repository declares it.")
@json_option
@click.pass_obj
def command(
    context: Context, agent: str | None, system: str | None, commit: str | None, as_json: bool
) -> None:
    """Show what agents may do: each tool and permission, its decision and its rule.

    Without AGENT all of them, or all of the system.
    """
    if commit is not None:
        found = _effective(standing.at_commit(context, commit), agent, system)
    else:
        with context.database.read() as connection:
            found = _effective(standing.recorded_now(connection), agent, system)
    if as_json:
        context.show_json([view.effective_json(item) for item in found])
    else:
        context.show(view.effective_words(found))


def _effective(where: Standing, agent: str | None, system: str | None) -> list[view.Effective]:
    if agent is not None:
        names = [agent]
    elif system is not None:
        names = where.members(system)
    else:
        names = [f"{key.namespace}/{key.name}" for key in where.agents]
    if not names:
        raise errors.NotFound("no agent is declared; orloj plan shows what would be")
    return [
        effective(where, name.removeprefix(f"{DEFAULT_NAMESPACE}/"), system) for name in names
    ]
