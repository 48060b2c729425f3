"""`orloj can-i`: may this agent do this, and which line says so?

Exit codes: 0 yes, 1 no, 2 only with a person's approval.
"""

from typing import Any, Final

import click

from reconciler.cli import standing
from reconciler.cli.context import Context, json_option
from reconciler.cli.parameters import Grantable, JsonObject
from reconciler.cli.standing import Standing
from reconciler.views import access as view
from runner.contract.kinds import Permission
from runner.governance import access
from runner.governance.access import Question

_CODES: Final = {"yes": 0, "no": 1, "approval": 2}


@click.command("can-i")
@click.argument("agent")
@click.argument("permission", type=Grantable(), required=False)
@click.option("--tool", help="By this tool only.")
@click.option("--args", "arguments", type=JsonObject(), help="Arguments of the call, as JSON.")
@click.option("--task", help="For a Task of this name: policies may speak of it.")
@click.option("--system", help="As an agent of this AgentSystem.")
@click.option("--at", "commit", help="As this commit of the repository declares it.")
@json_option
@click.pass_obj
def command(
    context: Context,
    agent: str,
    permission: Permission | None,
    *,
    tool: str | None,
    arguments: dict[str, Any] | None,
    task: str | None,
    system: str | None,
    commit: str | None,
    as_json: bool,
) -> int:
    """Say whether AGENT may do PERMISSION, by which tools, and which line says so.

    PERMISSION is written verb:resource. With --tool and --args it is the very decision of
    the guard on that call. Exit code 0 yes, 1 no, 2 only with a person's approval.
    """
    if permission is None and tool is None:
        raise click.UsageError("name a permission, as in read:compliance_docs, or a --tool")
    if arguments is not None and tool is None:
        raise click.UsageError("--args are arguments of a --tool; name it")
    asked = Question(permission=permission, tool=tool, arguments=arguments, task=task)
    if commit is not None:
        seen = _asked(standing.at_commit(context, commit), agent, system, asked)
    else:
        with context.database.read() as connection:
            seen = _asked(standing.recorded_now(connection), agent, system, asked)
    if as_json:
        context.show_json(view.asked_json(seen))
    else:
        context.show(view.asked_words(seen))
    return _CODES[seen.answer]


def _asked(where: Standing, agent: str, system: str | None, asked: Question) -> view.Asked:
    manifests, placed = where.manifests(agent, system)
    found = access.answers(manifests, placed, asked)
    wanted = asked.permission
    for item in found:
        needs = item.verdict.permissions
        if wanted is not None and needs and wanted not in needs:
            raise click.ClickException(
                f"this call of {item.tool} does not need {wanted}: it needs"
                f" {item.verdict.permission}"
            )
    return view.Asked(
        agent=placed.key,
        place=placed.at("/spec/tools"),
        system=system,
        permission=None if wanted is None else str(wanted),
        task=asked.task,
        commit=where.commit,
        answers=tuple(found),
    )
