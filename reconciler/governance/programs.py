"""Findings on what a tool starts: another program, secrets and a network for it. Pure."""

from collections.abc import Iterator
from typing import Final

from reconciler.governance import words
from reconciler.governance.finding import Finding
from reconciler.governance.words import Limit
from reconciler.governance.world import Sides
from runner.contract.kinds import Tool
from runner.contract.kinds.tool_program import FUEL, Cli, Wasm

LIMITS: Final = (
    Limit("wasm.fuel", "/spec/wasm/fuel", lambda spec: (spec.wasm or Wasm()).fuel or FUEL),
    Limit(
        "wasm.max_memory_bytes",
        "/spec/wasm/max_memory_bytes",
        lambda spec: (spec.wasm or Wasm()).max_memory_bytes,
    ),
)

_NOTHING: Final = Cli.model_construct(command="-")
"""What a tool of another type gives a program."""


def findings(sides: Sides, old: Tool, new: Tool) -> Iterator[Finding]:
    """What the change of one tool means for what is started by a call of it."""
    name = sides.key.name
    if new.cli is not None and new.cli != old.cli:
        yield from _started(sides, name, old.cli, new.cli)
    given = old.cli or _NOTHING, new.cli or _NOTHING
    yield from _secrets(sides, name, *given)
    yield from _surroundings(sides, name, *given)
    if new.type == "wasm" and _module(old) != _module(new):
        yield sides.widens("tool-program", f"{name} runs another module", "/spec/wasm")


def _started(sides: Sides, name: str, old: Cli | None, new: Cli) -> Iterator[Finding]:
    had = (old.command, old.image) if old else (None, None)
    if had != (new.command, new.image):
        where = "" if new.image is None else f" in the image {new.image}"
        sentence, field = f"{name} starts another program: {new.command}{where}", "command"
        yield sides.widens("tool-program", sentence, f"/spec/cli/{field}")
    elif old is not None and old.args != new.args:
        sentence = f"{name} starts {new.command} with other arguments"
        yield sides.widens("tool-program", sentence, "/spec/cli/args")


def _secrets(sides: Sides, name: str, old: Cli, new: Cli) -> Iterator[Finding]:
    had, has = ({one.name: one for one in cli.env_from} for cli in (old, new))
    for index, variable in enumerate(new.env_from):
        if had.get(variable.name) != variable:
            sentence = f"{name} is given the Secret {variable.secret_ref} as {variable.name}"
            yield sides.widens("secret-given", sentence, f"/spec/cli/env_from/{index}")
    for gone in words.added(has, had):
        sentence = f"{name} is no longer given the Secret {had[gone].secret_ref}"
        yield sides.narrows("secret-withdrawn", sentence)


def _surroundings(sides: Sides, name: str, old: Cli, new: Cli) -> Iterator[Finding]:
    """Variables and the network that the program has, or has no more."""
    for variable, value in new.env.items():
        if old.env.get(variable) != value:
            sentence = f"{name} is told another {variable}"
            yield sides.widens("tool-variable", sentence, f"/spec/cli/env/{variable}")
    for gone in words.added(new.env, old.env):
        yield sides.narrows("tool-variable", f"{name} is no longer told {gone}")
    if new.networked and not old.networked:
        sentence = f"{name} may use the whole network"
        yield sides.widens("network-added", sentence, "/spec/cli/network")
    elif old.networked and not new.networked:
        yield sides.narrows("network-removed", f"{name} may no longer use the network")


def _module(tool: Tool) -> tuple[str | None, str | None, str]:
    wasm = tool.wasm or Wasm()
    return wasm.module, wasm.digest, wasm.entrypoint
