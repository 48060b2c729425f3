"""`orloj validate` and `orloj schema` say what is wrong, or what to do next, and exit so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.contract.kinds import KINDS

GOOD = "apiVersion: orloj.dev/v1\nkind: Agent\nmetadata: {name: a}\nspec: {model: x}\n"
BAD = GOOD.replace("model:", "modle:")
TASK = "apiVersion: orloj.dev/v1\nkind: Task\nmetadata: {name: t}\nspec: {agent: a}\n"


def orloj(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler", *(str(item) for item in arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_valid_manifests_are_counted_and_the_next_command_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "sub" / "t.yml").write_text(TASK)

    done = orloj("validate", ".", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("2 files, 2 resources: valid. Next: orloj plan\n")


def test_a_mistake_is_shown_with_its_place_and_fails(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BAD)

    done = orloj("validate", "a.yaml", folder=tmp_path)

    assert done.returncode == 1
    assert done.stdout.splitlines()[:4] == [
        "a.yaml:4:8: error: unknown field `modle`",
        "  4 | spec: {modle: x}",
        "    |        ^",
        "    = did you mean `model`?",
    ]


def test_json_has_every_problem_and_nothing_else_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BAD)

    done = orloj("validate", "--json", "a.yaml", folder=tmp_path)

    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert (report["valid"], report["files"], report["resources"]) == (False, 1, 0)
    assert report["problems"][0] == {
        "path": "a.yaml",
        "line": 4,
        "column": 8,
        "severity": "error",
        "message": "unknown field `modle`",
        "hint": "did you mean `model`?",
    }


def test_references_are_checked_across_files_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(TASK)

    whole = orloj("validate", ".", folder=tmp_path)
    alone = orloj("validate", "t.yaml", folder=tmp_path)

    assert whole.returncode == 1
    assert "t.yaml:4:15: error: Agent `a` is not declared" in whole.stdout
    assert alone.returncode == 0
    assert "t.yaml:4:15: warning: Agent `a` is not in the files given" in alone.stdout


def test_hidden_folders_and_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "bad.yaml").write_text(BAD)
    (tmp_path / "elsewhere.txt").write_text(BAD)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "a.yaml").write_text(GOOD)

    done = orloj("validate", ".", folder=tmp_path)

    assert done.stdout.endswith("1 file, 1 resource: valid. Next: orloj plan\n")


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)

    done = orloj("validate", "a.yaml", ".", "./a.yaml", folder=tmp_path)

    assert done.stdout.endswith("1 file, 1 resource: valid. Next: orloj plan\n")


def test_a_file_whose_name_is_not_text_is_reported_all_the_same(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff\x1b.yaml")).write_text(BAD)

    words = orloj("validate", ".", folder=tmp_path)
    report = orloj("validate", "--json", ".", folder=tmp_path)

    assert "a\\udcff\\x1b.yaml:4:8: error" in words.stdout
    assert json.loads(report.stdout)["problems"][0]["path"] == "a\\udcff\x1b.yaml"


def test_a_path_through_a_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    done = orloj("validate", "a.yaml/b.yaml", folder=tmp_path)

    assert (done.returncode, done.stderr) == (1, "Error: there is no a.yaml/b.yaml\n")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("missing.yaml", "Error: there is no missing.yaml\n"),
        ("empty", "Error: no *.yaml or *.yml file under empty\n"),
    ],
    ids=["missing", "empty"],
)
def test_nothing_to_read_is_an_error(tmp_path: Path, path: str, error: str) -> None:
    (tmp_path / "empty").mkdir()

    done = orloj("validate", path, folder=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", error)


def test_validating_leaves_no_trace_in_the_home(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)

    orloj("--home", "home", "validate", "a.yaml", folder=tmp_path)

    assert not (tmp_path / "home").exists()


def test_the_schema_is_printed_with_the_line_for_the_editor(tmp_path: Path) -> None:
    done = orloj("schema", "agent", folder=tmp_path)

    assert json.loads(done.stdout)["properties"]["kind"] == {"const": "Agent"}
    assert done.stderr.endswith("# yaml-language-server: $schema=orloj.schema.json\n")


def test_the_schema_is_written_to_a_file_on_request(tmp_path: Path) -> None:
    done = orloj("schema", "--out", "all.json", folder=tmp_path)

    assert len(json.loads((tmp_path / "all.json").read_text())["oneOf"]) == len(KINDS)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("$schema=all.json\n")


def test_the_schema_of_no_kind_is_an_error(tmp_path: Path) -> None:
    done = orloj("schema", "Agnet", folder=tmp_path)

    assert done.returncode == 1
    assert "Agnet" in done.stderr
