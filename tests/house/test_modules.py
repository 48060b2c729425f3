"""Every module says what it is for, stays small, and is used by another.

If a test here fails, change the code, not the rule.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 300
# One file by its purpose: reviewers carry it to machines that have nothing of ours.
CARRIED_AWAY = Path("reconciler/evidence/verify.py")
FUNCTION_LINES_MAX = 50
POSITIONAL_MAX = 5
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}

MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("reconciler", "runner")
    for path in (ROOT / package).rglob("*.py")
)
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[tuple[Function, bool]]:
    """Every function of a module, and whether it is a method."""
    for node in ast.walk(tree(path)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield child, isinstance(node, ast.ClassDef)


def dotted(path: Path) -> str:
    name = ".".join(path.with_suffix("").parts)
    return name.removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES + TESTS, ids=str)
def test_a_module_opens_by_saying_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))
    assert docstring, f"{path} has no docstring"
    assert docstring.splitlines()[0][-1] in ".:`;,?" or "\n" in docstring, docstring


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_small(path: Path) -> None:
    if path == CARRIED_AWAY:
        return
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES_MAX, f"{path} has {lines} lines: split it by what it knows"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_function_fits_a_screen_and_takes_few_arguments(path: Path) -> None:
    faults = []
    for function, is_method in functions(path):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > FUNCTION_LINES_MAX:
            faults.append(f"{function.name} has {length} lines")
        arguments = function.args.posonlyargs + function.args.args
        count = len(arguments) - (1 if is_method and arguments else 0)
        # What click hands over by name is not called by position.
        decorated = any("click" in ast.unparse(d) for d in function.decorator_list)
        if count > POSITIONAL_MAX and not decorated:
            faults.append(f"{function.name} takes {count} positional arguments")
    assert not faults, f"{path}: {'; '.join(faults)}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_not_a_drawer_for_odds_and_ends(path: Path) -> None:
    assert not BANNED_NAMES & set(path.with_suffix("").parts)


def test_no_module_is_left_over() -> None:
    """Every module is imported by another, except those that are started."""
    imported: set[str] = set()
    for path in MODULES:
        package = dotted(path) if path.name == "__init__.py" else dotted(path.parent)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                assert node.level == 0, f"{path}: imports are absolute; found one in {package}"
                imported.add(base)
                imported |= {f"{base}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                imported.add(node.value)  # A family picks its member by name.
    started = re.compile(
        r"__main__$|^reconciler\.cli\.|^runner\.worker$|\.migrations$|^(reconciler|runner)$"
    )
    left_over = [
        name
        for name in map(dotted, MODULES)
        if name not in imported
        and not started.search(name)
        and not any(other.startswith(name + ".") for other in imported)
    ]
    assert not left_over, f"nobody imports {left_over}"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_nothing_is_imported_inside_a_function_without_a_reason(path: Path) -> None:
    """Only the command line's context may; elsewhere a comment on the line says why."""
    if path == Path("reconciler/cli/context.py"):
        return
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    for function, _ in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                around = lines[node.lineno - 2] + lines[node.lineno - 1]
                assert "#" in around, f"{path}:{node.lineno} imports inside {function.name}"
