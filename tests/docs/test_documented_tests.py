"""What the documents name as a proof is there: every test, and every file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"`(tests/[\w./-]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_test_that_is_named_exists(document: Path) -> None:
    for path, name in NAMED.findall(document.read_text(encoding="utf-8")):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not name or re.search(rf"def {name}\b", text), f"{path} has no {name}"


def test_the_documents_name_tests_at_all() -> None:
    named = [one for path in DOCUMENTS for one in NAMED.findall(path.read_text("utf-8"))]
    assert len(named) > 20
