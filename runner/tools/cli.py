"""Tools of type `cli`: a program by its words, on this host in the sandbox or in a container.

    arguments ──> one word for each entry ──> sandbox (tools.commands)  ──> stdout, stderr
                                         └──> container (tools.images) ──┘

No shell reads the words. The environment is what the manifest names, and the idempotency key.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import sandbox
from runner.contract import seal
from runner.contract.errors import ToolCode, ToolFailed
from runner.contract.kinds import Tool
from runner.contract.kinds.tool_isolation import in_container
from runner.contract.kinds.tool_program import Cli
from runner.functions import folder
from runner.sandbox import program
from runner.tools import Answered, Call, allowed, cli_words, command, container, may_be_bare


async def call(tool: Tool, arguments: dict[str, Any], call: Call) -> Answered:
    """What the program wrote; ToolFailed when it is not allowed or did not succeed."""
    cli = tool.cli
    assert cli is not None
    argv = cli_words.words(cli, arguments)
    given = json.dumps(arguments).encode() if cli.stdin_from_input else b""
    variables = {"IDEMPOTENCY_KEY": call.idempotency_key, **cli.env, **call.environment}
    if in_container(tool):
        done = await container.run(tool, argv, given, variables, call)
    else:
        done = await _on_host(tool, argv, given, variables, call)
    if done.code != 0:
        raise command.ended(cli.command, done, call)
    return Answered(_answer(cli, done, call), done.level)


async def _on_host(
    tool: Tool, argv: list[str], given: bytes, variables: dict[str, str], call: Call
) -> command.Done:
    """The program of this host that the settings allow, in the sandbox."""
    cli, files = tool.cli, call.bounds.files
    assert cli is not None
    started = allowed.path(argv[0], call.bounds.commands)
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A script counts as a program: it is seen where the settings name it as well.
    shown = [started, *(word for word in cli.args if word in call.bounds.commands)]
    readable = [path for word in shown for path in program.needed_by(Path(word), files.parent)]
    with _working_folder(cli, files) as where:
        confinement = replace(
            command.confinement(tool, call, started),
            readable=tuple(dict.fromkeys(readable)),
            working_folder=where,
            environment={"HOME": str(files), **variables},
            network=cli.networked,
        )
        done = await sandbox.run(
            [started, *argv[1:]],
            given,
            confinement,
            output_bytes_max=command.output_bytes_max(call),
            error_bytes_max=command.error_bytes_max(call, answers=cli.output != "stdout"),
            isolation="none" if may_be_bare(tool) else "required",
        )
    return command.Done(done.code, done.output, done.error, str(done.level))


@contextmanager
def _working_folder(cli: Cli, files: Path) -> Iterator[Path]:
    """Where the program starts; ToolFailed where there is no such folder."""
    with ExitStack() as held:
        where = Path(cli.working_dir or ".")
        if where.is_absolute():
            if not where.is_dir():
                raise _no_folder(f"{where} is no folder of this host")
        else:
            try:
                held.enter_context(folder.opened(files, folder.parts(str(where))))
            except ToolFailed as error:
                raise _no_folder(str(error)) from error
        yield files / where


def _no_folder(said: str) -> ToolFailed:
    return ToolFailed(f"cli.working_dir: {said}", code=ToolCode.RUNTIME_POLICY_INVALID)


def _answer(cli: Cli, done: command.Done, call: Call) -> str:
    output, error = (data.decode("utf-8", "replace") for data in (done.output, done.error))
    match cli.output:
        case "stdout":
            return output
        case "stderr":
            return error
    # Cut one by one: cut as a whole, the text would be no JSON any more.
    limit = call.bounds.output_bytes_max // 4
    both = {
        "stdout": seal.excerpt(output, limit, call.hidden),
        "stderr": seal.excerpt(error, limit, call.hidden),
    }
    return json.dumps(both, ensure_ascii=False)
