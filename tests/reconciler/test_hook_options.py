"""What a pusher says with -o is understood exactly, or refused with what is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.override import OverrideKind
from reconciler.push.followed import pusher
from reconciler.push.judgement import let_pass
from reconciler.push.options import COUNT_MAX, KNOWN, parse
from runner.contract import errors


def test_every_option_is_read() -> None:
    said = parse(
        [
            "plan-only",
            "approve=0123456789ab",
            "allow-destroy=agent/default/a",
            "allow-destroy=tool/default/b",
            "override-freeze=a customer waits",
            "accept-rewrite=squashed = on purpose",
        ]
    )
    assert said.mistakes == ()
    assert (said.ours, said.plan_only, said.approve) == (True, True, "0123456789ab")
    found = [(item.kind, item.subject, item.reason) for item in let_pass(said, "person:d")]
    assert found == [
        (OverrideKind.DESTROY, "agent/default/a", "push option"),
        (OverrideKind.DESTROY, "tool/default/b", "push option"),
        (OverrideKind.FREEZE, "", "a customer waits"),
        (OverrideKind.REWRITE, "", "squashed = on purpose"),
    ]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("ci.skip", "is no option of this repository"),
        ("--upload-pack=evil", "is no option of this repository"),
        ("Plan-only", "is no option of this repository"),
        ("plan-only=yes", "is no option of this repository"),
        ("", "is no option of this repository"),
        ("approve", "needs a value"),
        ("approve=", "is no plan id"),
        ("approve=0123456789AB", "is no plan id"),
        ("approve=--help", "is no plan id"),
        ("allow-destroy=a", "names no resource"),
        ("allow-destroy=agent/../../etc", "names no resource"),
        ("override-freeze=", "needs a reason"),
        ("override-freeze=   ", "needs a reason"),
        ("accept-rewrite=a\x1b[31mb", "control characters"),
        ("accept-rewrite=a\u202eb", "control characters"),
        ("accept-rewrite=a\udcffb", "control characters"),
        ("accept-rewrite=" + "x" * 500, "is longer than"),
    ],
)
def test_an_option_that_is_none_of_ours_is_a_mistake(option: str, words: str) -> None:
    (mistake,) = parse([option]).mistakes
    assert words in mistake


def test_an_unknown_option_names_the_known_ones() -> None:
    assert KNOWN in parse(["planonly"]).mistakes[0]


def test_one_mistake_makes_all_the_rest_void() -> None:
    said = parse(["plan-only", "approve=0123456789ab", "override-freeze=now", "foo"])
    assert (said.plan_only, said.approve, let_pass(said, "person:d")) == (False, "", ())
    assert said.ours


def test_two_answers_to_one_question_are_a_mistake() -> None:
    assert parse(["approve=0123456789ab", "approve=ba9876543210"]).mistakes
    assert not parse(["approve=0123456789ab", "approve=0123456789ab"]).mistakes


def test_more_options_than_anybody_types_are_a_mistake() -> None:
    assert parse(["plan-only"] * (COUNT_MAX + 1)).mistakes
    assert not parse(["plan-only"] * COUNT_MAX).mistakes


@given(st.lists(st.text(max_size=30), max_size=5))
def test_whatever_is_said_is_understood_or_a_mistake(options: list[str]) -> None:
    said = parse(options)
    meant = said.plan_only or said.approve or let_pass(said, "person:d")
    assert bool(options) == bool(said.mistakes or meant)


@pytest.mark.parametrize(
    ("told", "variable", "name"),
    [
        ({}, "", "login"),
        ({"REMOTE_USER": "mallory"}, "", "login"),
        (
            {"REMOTE_USER": "dana@example.com", "GATEWAY_INTERFACE": "CGI/1.1"},
            "",
            "dana@example.com",
        ),
        ({"GATEWAY_INTERFACE": "CGI/1.1"}, "", "login"),
        ({"GL_USERNAME": "dana"}, "GL_USERNAME", "dana"),
    ],
    ids=["login", "only a web server names", "web server", "nobody named", "Git host"],
)
def test_who_pushes_is_known(told: dict[str, str], variable: str, name: str) -> None:
    assert pusher(told, "login", variable) == name


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\x1b", "a" * 200, "a/b", "ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(errors.Refused):
        pusher({"GL_USERNAME": name}, "login", "GL_USERNAME")
