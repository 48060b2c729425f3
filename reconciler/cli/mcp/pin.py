"""`orloj mcp pin`: what a server offers, as manifests to be reviewed and committed.

Exit codes: 0 done, or nothing to do; 1 error; 2 with --check: it is not as pinned.
`--json` prints `{server, file, changed, tools[]{name, tool, change, differs, digest}}`.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click

from reconciler import manifest, pin
from reconciler.cli.context import Context, json_option
from reconciler.cli.mcp import declared
from reconciler.manifest import writing
from reconciler.pin import Pins
from reconciler.problem import Severity
from reconciler.resource import Resource
from reconciler.views import pins as view
from reconciler.views.plain import plain
from runner.contract.errors import Refused, ToolFailed
from runner.contract.kinds import Key
from runner.contract.kinds.mcp_offer import Offer
from runner.contract.settings import Settings
from runner.tools.mcp_process import Place
from runner.tools.mcp_server import Server
from runner.tools.mcp_sessions import McpSessions

_TIMEOUT_S = 120.0


@click.command()
@click.argument("server")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. Default: where its Tools stand, else beside the server's manifest.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit code 2 if anything differs.")
@json_option
@click.pass_obj
def command(
    context: Context,
    server: str,
    paths: tuple[Path, ...],
    *,
    file: Path | None,
    check: bool,
    as_json: bool,
) -> int:
    """Start or reach the McpServer SERVER, and write the tools it offers as Tools.

    PATHS are files and folders with its manifest, its Secrets and the Tools that are there;
    this folder, if none is given. Nothing is called, and no database is needed.
    """
    tree = declared.read(paths or (Path(),))
    key, spec = tree.server(server)
    offers = _listed(tree.given(key, spec, context.settings), context.settings)
    for name in spec.tool_filter.include:
        if name not in {offer.name for offer in offers}:
            context.say(f"Warning: the server offers no {name} (tool_filter.include).")
    kept = [offer for offer in offers if spec.tool_filter.lets(offer.name)]
    there = tree.tools(key)
    target = file or _target(key, Path(tree.resources[key].path), there)
    declared.refuse_problems(tree, target)
    found = pin.pins(key, kept, there)
    if not check:
        _write(target, key, found)
    if as_json:
        context.show_json(view.as_json(found, str(target)))
    else:
        context.show(view.words(found, str(target), written=not check))
    return 2 if check and found.changed else 0


def _listed(server: Server, settings: Settings) -> list[Offer]:
    """The tools that a server offers; its program works in a folder that goes away."""

    async def ask(folder: Path) -> list[Offer]:
        place = Place(tuple(settings.tools.commands), folder, settings.home)
        sessions = McpSessions()
        try:
            async with asyncio.timeout(_TIMEOUT_S), sessions.at(server, place) as session:
                return list((await session.offers()).values())
        except TimeoutError:
            raise Refused(f"the server did not list its tools in {_TIMEOUT_S:g} s") from None
        except ToolFailed as error:  # What it says may steer a terminal.
            raise Refused(plain(str(error))) from None
        finally:
            await sessions.close()

    with tempfile.TemporaryDirectory(prefix="orloj-mcp-") as folder:
        return asyncio.run(ask(Path(folder)))


def _target(server: Key, beside: Path, there: Mapping[Key, Resource]) -> Path:
    files = {resource.path for resource in there.values()}
    if len(files) > 1:
        raise Refused(f"its Tools stand in {', '.join(sorted(files))}; name one with --file")
    return Path(files.pop()) if files else beside.parent / f"{server.name}.tools.yaml"


def _write(target: Path, server: Key, found: Pins) -> None:
    """Write the file, if it says anything else than what stands there; Refused."""
    text = pin.HEADER.format(server=server.name) + writing.text(found.documents)
    parsed = manifest.parse(text.encode(), str(target), lambda value: (value, ""))
    for problem in parsed.problems:
        if problem.severity is Severity.ERROR:
            raise Refused(
                f"what the server says cannot be a manifest: {problem.message}; leave that"
                " tool out with tool_filter.include"
            )
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}-", delete=False
    ) as unfinished:
        unfinished.write(text)
    Path(unfinished.name).chmod(0o644)
    Path(unfinished.name).replace(target)
