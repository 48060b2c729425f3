"""What a call needs is filled with its arguments, and means exactly what it says.

An argument is a stranger's text. A second spelling of a resource, a character that cannot
be seen or a step out of a path makes the need unclear, and unclear is never allowed.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract.kinds import Permission, Tool
from runner.governance import requirement
from runner.governance.requirement import Unclear


def tool(*requires: dict[str, str]) -> Tool:
    return Tool.model_validate({"endpoint": "http://tools/", "requires": list(requires)})


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        ("{args.database}", {"database": "analytics_db"}, "analytics_db"),
        ("db/{args.database}", {"database": "sales"}, "db/sales"),
        ("{args.where.database}", {"where": {"database": "sales"}}, "sales"),
        ("invoice {args.number}", {"number": 7}, "invoice 7"),
        ("{args.a}/{args.b}", {"a": "x", "b": "y"}, "x/y"),
        ("{args.url}", {"url": "https://host/a"}, "https://host/a"),
        ("fixed", {"database": "{args.other}"}, "fixed"),
        ("{args.a}", {"a": "{args.b}", "b": "secret"}, "{args.b}"),
    ],
    ids=[
        "whole",
        "inside a text",
        "nested",
        "a number",
        "two",
        "an address",
        "no template",
        "a value is no template",
    ],
)
def test_a_template_stands_for_the_argument(
    template: str, arguments: dict[str, Any], expected: str
) -> None:
    found = requirement.needed(tool({"read": template}), arguments)
    assert [str(permission) for permission in found] == [f"read:{expected}"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1.5,
        ["sales"],
        {"sales": 1},
        "",
        " sales",
        "sales\n",
        "sa\u200bles",
        "sales\u202e",
        "\uff53ales",
        "caf\u0065\u0301",
        "sales\x00",
        "../sales",
        "a/../sales",
        "a/./sales",
        "a//sales",
        "a\\sales",
        "\ud800",
        "x" * 600,
    ],
    ids=repr,
)
def test_an_argument_that_is_unclear_names_nothing(value: Any) -> None:
    with pytest.raises(Unclear):
        requirement.needed(tool({"read": "db/{args.database}"}), {"database": value})


def test_a_missing_argument_names_nothing() -> None:
    with pytest.raises(Unclear, match="the argument database is missing"):
        requirement.needed(tool({"read": "{args.database}"}), {})


@given(st.text(max_size=40), st.sampled_from(["sales", "sales/*", "s*s"]))
def test_only_a_text_that_the_grant_spells_is_covered(value: str, granted: str) -> None:
    grant = Permission.of("read", granted)
    try:
        (needed,) = requirement.needed(tool({"read": "{args.d}"}), {"d": value})
    except Unclear:
        return
    if grant.covers(needed):
        head, _, tail = granted.partition("*")
        assert value.startswith(head)
        assert value.endswith(tail)
        assert ".." not in value.split("/")


@pytest.mark.parametrize(
    ("granted", "needed", "covered"),
    [
        ("sales", "sales", True),
        ("sales", "Sales", False),
        ("sales", "sales2", False),
        ("reports/*", "reports/2026/q1", True),
        ("reports/*", "reports", False),
        ("*", "anything", True),
        ("a.b", "axb", False),
        ("sales", "*", False),
        ("*.example.com", "www.example.com", True),
    ],
)
def test_a_star_stands_only_in_a_grant(granted: str, needed: str, covered: bool) -> None:
    grant, need = Permission.of("read", granted), Permission.of("read", needed)
    assert grant.covers(need) is covered
    assert not Permission.of("write", granted).covers(need)
