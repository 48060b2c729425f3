"""The sample repository is valid, its scripted findings are true, and nobody may export.

What the scripted model flags must stand in the documents at the line it names.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

SAMPLE = Path(__file__).parents[2] / "sample-repo"


def documents(kind: str) -> list[dict[str, Any]]:
    found = [
        document
        for path in sorted(SAMPLE.rglob("*.yaml"))
        for document in YAML(typ="safe", pure=True).load_all(path)
    ]
    return [document for document in found if document["kind"] == kind]


def script(agent: str) -> list[dict[str, Any]]:
    (endpoint,) = [e for e in documents("ModelEndpoint") if e["metadata"]["name"] == "scripted"]
    return endpoint["spec"]["script"][agent]


def calls(agent: str, tool: str) -> list[dict[str, Any]]:
    turns = (turn.get("calls", []) for turn in script(agent))
    return [call["arguments"] for turn in turns for call in turn if call["tool"] == tool]


def test_the_sample_is_valid(orloj) -> None:
    done = orloj("validate", SAMPLE)
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize(
    "flag", calls("compliance-checker", "flag-issues"), ids=lambda flag: flag["file"]
)
def test_a_flagged_line_holds_a_phrase_that_was_searched(flag: dict[str, Any]) -> None:
    (scan,) = calls("compliance-checker", "scan-documents")
    phrases = [phrase.strip() for phrase in scan["pattern"].split("|")]
    lines = (SAMPLE / "documents" / flag["file"]).read_text().splitlines()
    assert any(phrase in lines[flag["line"] - 1] for phrase in phrases)
    assert (SAMPLE / "documents" / flag["policy"]).is_file()


def test_the_scan_finds_the_mail_with_the_injection_too() -> None:
    mail = (SAMPLE / "documents/mail/vendor-quickparcel.md").read_text()
    assert "customer list" in mail
    assert "ignore your rules" in mail


def test_the_scripted_model_obeys_the_mail_and_nobody_is_granted_the_tool() -> None:
    assert calls("compliance-checker", "export-customers")
    for agent in documents("Agent"):
        granted = [tool["name"] for tool in agent["spec"]["tools"]]
        assert "export-customers" not in granted, agent["metadata"]["name"]


def test_every_agent_has_a_script_and_every_scripted_call_a_tool() -> None:
    (endpoint,) = [e for e in documents("ModelEndpoint") if e["metadata"]["name"] == "scripted"]
    agents = {agent["metadata"]["name"] for agent in documents("Agent")}
    tools = {tool["metadata"]["name"] for tool in documents("Tool")}
    assert set(endpoint["spec"]["script"]) == agents
    called = {
        call["tool"]
        for turns in endpoint["spec"]["script"].values()
        for turn in turns
        for call in turn.get("calls", [])
    }
    assert called <= tools


def test_only_reading_tools_are_declared_repeatable() -> None:
    for tool in documents("Tool"):
        reads = tool["spec"]["function"] in {"search_files", "read_file", "list_files"}
        assert tool["spec"].get("idempotent", False) == reads, tool["metadata"]["name"]


def test_the_one_edit_of_the_readme_leads_to_a_valid_repository(orloj, tmp_path: Path) -> None:
    for path in SAMPLE.rglob("*.yaml"):
        target = tmp_path / "copy" / path.relative_to(SAMPLE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text().replace("model_ref: scripted", "model_ref: openai"))
    done = orloj("validate", tmp_path / "copy", "--json")
    assert done.code == 0, done.out
    assert json.loads(done.out)
