"""A mapping is data that was reviewed: told by line where it is wrong, known by its digest."""

import hashlib
import re
from pathlib import Path

import pytest

from reconciler.evidence import framework, framework_files, oscal, selection
from reconciler.evidence.framework import Framework
from runner.contract import errors

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "reconciler/evidence/frameworks"
OURS = framework_files.load()
GOOD = """\
framework: own
title: Our own
version: 1
source:
  edition: first
  address: https://example.com/own
controls:
  - id: C1
    question: Is the log whole?
    frequency: continuous
    responsibility: platform
    evidence:
      - {kind: proof, name: whole, expr: log_whole}
"""
ASKED = {
    "soc2": {"CC6.1", "CC6.3", "CC7.2", "CC7.3", "CC8.1"},
    "iso27001": {"A.5.3", "A.8.2", "A.8.15", "A.8.16", "A.8.32"},
    "iso42001": {"A.6.2.8"},
    "hipaa": {
        *("164.312(a)(1)", "164.312(b)", "164.312(c)(1)", "164.312(d)"),
        "164.316(b)(2)(i)",
    },
    "pci-dss": {
        *(f"10.2.1.{number}" for number in range(1, 8)),
        *("10.2.2", "10.3", "10.4.1", "10.5.1", "10.6", "10.7"),
    },
    "eu-ai-act": {"12(1)", "14(4)(e)", "19(1)", "26(5)", "26(6)"},
    "nist-ai-rmf": {"MEASURE 2.4", "MEASURE 2.8", "MANAGE 4.1"},
    "gdpr": {"5(2)", "17(1)", "22(1)", "30(1)"},
}


def problems(text: str) -> list[str]:
    found, mistakes = framework.read(text.encode(), "own/own.yaml")
    assert (found is None) == bool(mistakes)
    return [f"{one}{f' ({one.hint})' if one.hint else ''}" for one in mistakes]


def test_our_files_have_no_mistake_and_are_the_frameworks_that_were_promised() -> None:
    assert OURS.problems == ()
    assert {one.id for one in OURS.frameworks} == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_a_framework_has_the_controls_that_reviewers_ask_after(name: str) -> None:
    assert ASKED[name] <= {control.id for control in OURS.named(name).content.controls}


@pytest.mark.parametrize("one", OURS.frameworks, ids=lambda one: one.id)
def test_a_digest_is_that_of_the_file(one: Framework) -> None:
    raw = (FOLDER / f"{one.id}.yaml").read_bytes()
    assert one.digest == "sha256:" + hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize("one", OURS.frameworks, ids=lambda one: one.id)
def test_every_control_asks_a_question_and_has_a_name_of_its_own_in_oscal(
    one: Framework,
) -> None:
    controls = one.content.controls
    assert all(control.question.endswith("?") for control in controls)
    tokens = {oscal.token(one.id, control.id) for control in controls}
    assert len(tokens) == len(controls)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", token) for token in tokens)


def test_no_date_of_the_ai_act_is_printed() -> None:
    """They were moved once, and would be wrong here the next time."""
    text = (FOLDER / "eu-ai-act.yaml").read_text()
    assert not re.search(r"\b20(?!24/1689)\d\d\b", text)


def test_a_good_file_is_read() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version: 1", "vresion: 1", "own/own.yaml:3:1: unknown field `vresion`"),
        ("title: Our own\n", "", "own/own.yaml:1:1: `framework` needs `title`"),
        ("log_whole", "log_whol", "own/own.yaml:13:42: `expr`: no check of that name; did you"),
        ("continuous", "hourly", "own/own.yaml:10:16: `frequency`: not a value this field"),
        ("proof, name", "query, name", "evidence of the kind query has select and no expr"),
        ("log_whole}", "kept_for}", "kept_for needs days"),
        ("log_whole}", "log_whole, days: 3}", "log_whole takes no days"),
        ("log_whole}", "__import__('os')}", "no check of that name"),
        ("platform", "shared", "needs a note that says what the deployer has to do"),
        ("https://example.com/own", "example.com", "own/own.yaml:6:12: `address`"),
        ("version: 1", "version: 1\nversion: 2", "own/own.yaml:4:1: `version` is given twice"),
        ("framework: own", "framework: &a own", "anchors are not used here"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, problem: str) -> None:
    assert old in GOOD
    assert any(problem in found for found in problems(GOOD.replace(old, new)))


def test_all_mistakes_come_at_once() -> None:
    bad = GOOD.replace("continuous", "hourly").replace("log_whole", "log_whol")
    assert len(problems(bad)) == 2


def test_a_control_that_is_listed_twice_is_a_mistake() -> None:
    again = GOOD[GOOD.index("  - id: C1") :]
    assert "lists the control C1 twice" in problems(GOOD + again)[0]


def test_a_control_without_evidence_is_the_deployers() -> None:
    text = GOOD[: GOOD.index("    evidence:")]
    assert "only a control of the deployer has no evidence" in problems(text)[0]
    assert problems(text.replace("platform", "deployer\n    note: Yours.")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a selection looks like"),
        ("type", "write field=value"),
        ("type=", "write field=value"),
        ("seq=5", "no selection by seq"),
        ("type=action.decide", "no entry has the type"),
    ],
)
def test_a_selection_that_can_never_be_fulfilled_is_a_mistake(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        selection.selection(text)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("type=action.*", True),
        ("type=action.decided decision=deny", True),
        ("type=action.decided decision=allow", False),
        ("tool=*", True),
        ("tool=-", False),
        ("approval=-", True),
        ("approval=*", False),
        ("tool=fil", False),
    ],
)
def test_a_selection_takes_what_fulfils_all_of_it(text: str, taken: bool) -> None:
    fields = {"type": "action.decided", "decision": "deny", "tool": "file"}
    assert selection.selection(text).takes(fields) is taken


class TestOwnFiles:
    def test_they_stand_beside_ours(self, tmp_path: Path) -> None:
        (tmp_path / "own.yaml").write_text(GOOD)
        loaded = framework_files.load(tmp_path)
        assert {one.id for one in loaded.frameworks} == {*ASKED, "own"}

    def test_one_with_the_id_of_ours_takes_its_place_and_shows_by_its_digest(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "own.yaml").write_text(GOOD.replace("framework: own", "framework: soc2"))
        found = framework_files.load(tmp_path).named("soc2")
        assert found.content.title == "Our own"
        assert found.digest != OURS.named("soc2").digest

    def test_two_with_the_same_id_are_a_mistake(self, tmp_path: Path) -> None:
        for name in ("a.yaml", "b.yaml"):
            (tmp_path / name).write_text(GOOD)
        (problem,) = framework_files.load(tmp_path).problems
        assert "a.yaml is the framework own already" in problem.message

    def test_a_folder_without_any_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(errors.Refused, match=r"no \*\.yaml file of a framework"):
            framework_files.load(tmp_path)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(errors.NotFound, match="there are: eu-ai-act, gdpr, hipaa"):
            OURS.named("sox")
