"""`orloj init`: make a repository of manifests to start from."""

import json
from pathlib import Path
from typing import Final

import click

from reconciler import scaffold
from reconciler.cli.context import Context, json_option
from reconciler.views.plain import plain
from runner.contract.kinds import schema
from runner.contract.settings import Settings

_SYSTEMS: Final = {"hierarchical": "hierarchy", "pipeline": "pipeline", "swarm-loop": "swarm"}


@click.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
@click.option(
    "--template",
    metavar="TEMPLATE",
    help="Manifests for regulated work: hipaa, soc2, eu-ai-act or finance.",
)
@click.option(
    "--blueprint",
    metavar="BLUEPRINT",
    help="A system of agents instead of one: pipeline, hierarchical or swarm-loop.",
)
@json_option
@click.pass_obj
def command(
    context: Context,
    folder: Path,
    template: str | None,
    blueprint: str | None,
    as_json: bool,
) -> None:
    """Make the folder NAME: a Git repository with an agent that runs without a key.

    Nothing is overwritten. When the home reconciles no repository yet, it will be this one.
    """
    if template is not None and blueprint is not None:
        raise click.UsageError("--template and --blueprint are two beginnings; take one")
    home = context.settings
    made = scaffold.make(folder, home, schema.text(None), template, blueprint)
    if as_json:
        context.show_json(
            {
                "repository": str(made.repository),
                "files": list(made.files),
                "source_set": made.source_set,
                "document": None if made.document is None else str(made.document),
            }
        )
        return
    lines = _made(made, home)
    # A bare name is looked for in the repository of the home, which may be another one.
    agent = "agent.yaml" if made.source_set else str(folder / "agent.yaml")
    then = [f"orloj apply -f {agent}", "orloj status", "orloj up"]
    if template is not None:
        lines += [
            "",
            f"Read {made.repository}/README.md: what it does, and what remains yours.",
        ]
        then = ["orloj plan", "orloj up", "orloj approvals"]
    elif blueprint is not None:
        then = ["orloj plan", "orloj up", f"orloj graph {_SYSTEMS[blueprint]}"]
    lines += ["", "Next:", *(f"  {command}" for command in then)]
    click.echo("\n".join(plain(line) for line in lines))


def _made(made: scaffold.Made, home: Settings) -> list[str]:
    lines = [f"Made {made.repository}, a Git repository with one commit:"]
    lines += [f"  {name}" for name in made.files]
    if made.source_set:
        lines.append(f"It is now the repository that {home.home}/orloj.toml names.")
    elif home.source.url != str(made.repository):
        lines += [
            f"{home.home}/orloj.toml was left alone. To reconcile this repository, set there:",
            "  [source]",
            f"  url = {json.dumps(str(made.repository), ensure_ascii=False)}",
        ]
    if made.document is not None:
        lines.append(f"A document for the agent to scan: {made.document}")
    return lines
