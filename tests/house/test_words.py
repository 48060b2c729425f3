"""Every command has help and a place in the manual; every logged action is explained."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reconciler.cli import COMMANDS
from runner.contract import telemetry
from runner.contract.audit_entry import CODES, EntryType

ROOT = Path(__file__).parents[2]
PACKAGES = ("reconciler", "runner")


def module(name: str) -> str:
    return name.replace("-", "_")


def command(name: str) -> click.Command:
    return importlib.import_module(f"reconciler.cli.{module(name)}").command


def leaves(name: str, found: click.Command) -> list[tuple[str, click.Command]]:
    if isinstance(found, click.Group):
        context = click.Context(found)
        return [
            leaf
            for sub in found.list_commands(context)
            if (inner := found.get_command(context, sub)) is not None
            for leaf in leaves(f"{name} {sub}", inner)
        ]
    return [(name, found)]


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_there_and_says_what_it_does(name: str) -> None:
    for path, leaf in leaves(name, command(name)):
        assert leaf.help, f"orloj {path} has no help"
        for parameter in leaf.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"orloj {path} {parameter.opts[0]} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_stands_in_the_manual_with_its_options(name: str) -> None:
    manual = document("cli.md")
    for path, leaf in leaves(name, command(name)):
        assert f"orloj {path}" in manual, f"docs/cli.md does not mention orloj {path}"
        section = manual.split(f"orloj {path}", maxsplit=1)[1]
        for parameter in leaf.params:
            if isinstance(parameter, click.Option):
                named = any(option in section for option in parameter.opts)
                assert named, f"docs/cli.md: orloj {path} has {parameter.opts[-1]}"


def test_every_module_of_the_command_line_is_a_command_or_serves_one() -> None:
    serving = {"__init__", "context", "decide", "lazy", "parameters"}
    serving |= {"standing", "standing_by"}
    folder = ROOT / "reconciler/cli"
    modules = {path.stem for path in folder.glob("*.py")} - serving
    modules |= {path.parent.name for path in folder.glob("*/__init__.py")}
    unknown = {
        name
        for name in modules - {module(name) for name in COMMANDS}
        if "command = " in (text := (folder / f"{name}.py").read_text())
        or "def command(" in text
    }
    assert not unknown, f"{unknown} are commands that COMMANDS does not list"
    assert {module(name) for name in COMMANDS} <= modules


@pytest.mark.parametrize("action", sorted(telemetry.ACTIONS))
def test_a_logged_action_is_explained(action: str) -> None:
    assert f"`{action}`" in document("operating.md")


@pytest.mark.parametrize("kind", [kind.value for kind in EntryType])
def test_a_type_of_audit_entry_is_explained(kind: str) -> None:
    assert f"`{kind}`" in document("audit.md")
    assert f"`{CODES[EntryType(kind)]}`" in document("audit.md")


@pytest.mark.parametrize("action", sorted(telemetry.ACTIONS))
def test_an_action_is_logged_somewhere(action: str) -> None:
    used = re.compile(rf"[\"']{action}[\"']")
    places = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "telemetry.py" and used.search(path.read_text(encoding="utf-8"))
    ]
    assert places, f"nobody logs {action}"


def test_the_list_of_commands_imports_none_of_them() -> None:
    program = (
        "import sys\nsys.argv = ['orloj', '--help']\n"
        "from reconciler import cli\n"
        "try:\n    cli.main()\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'pydantic', 'git', 'openai', 'rich', 'ruamel'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "heavy: []" in done.stdout
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
