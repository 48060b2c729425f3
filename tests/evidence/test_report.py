"""The report says what the log says, to anybody, in the same bytes, whatever the log holds."""

import csv
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import rich_period
from period import Period
from repository import Repository

from reconciler.evidence import integrity, paper
from reconciler.evidence.page import document, markup, style
from reconciler.evidence.page.charts import Bar, bars
from reconciler.proof import note
from reconciler.proof.note import Note
from runner.contract.audit_entry import canonical

VOID = {"meta", "br", "hr", "col", "wbr", "path", "rect", "circle", "line"}


class Page(HTMLParser):
    """Takes a page apart: what is open must be closed in turn, what is asked for is noted."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


class World:
    """A rich period, and reports of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = Repository(folder)
        self.period = Period(folder / "home", self.repository.origin)
        rich_period.fill(self.period, self.repository, calls=12)

    def write(self, name: str, *, proof: bool = True) -> Path:
        """A folder with the report, as an export makes it."""
        folder = self.folder / name
        folder.mkdir()
        rich_period.frameworks(folder)
        if proof:
            self._prove(folder)
        scratch = self.folder / f"{name}-scratch"
        rich_period.write(self.period, self.repository, folder, scratch)
        return folder

    def _prove(self, folder: Path) -> None:
        scope, entries = self.period.scope(folder), self.period.entries()
        key = note.generate(scope.log)
        text = scope.checkpoint.text
        (folder / "checkpoint").write_text(str(Note(text, (key.sign(text),))))
        (folder / "keys").mkdir()
        (folder / "keys" / "log.vkey").write_text(f"{key.verifier}\n")
        (folder / "headers.jsonl").write_bytes(b"".join(e.raw + b"\n" for e in entries))
        (folder / "after.bin").write_bytes(b"")
        (folder / "bundle.json").write_text(canonical({"before": [], "head_first": 1}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.period.database.close()


@pytest.fixture(scope="module")
def folder(world: World) -> Path:
    return world.write("report")


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_fifteen_sections_are_there_in_their_order(page: Page) -> None:
    assert len(document.TITLES) == 15
    places = [page.text.index(f"{n}. {title}") for n, title in enumerate(document.TITLES, 1)]
    assert places == sorted(places)


def test_the_page_needs_nothing_and_runs_nothing(page: Page) -> None:
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "form", "audio", "video"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("href", "#").startswith("#")
        assert "src" not in attributes
    policies = [one.get("content") for one in page.all("meta") if "http-equiv" in one]
    assert policies == [style.POLICY]
    assert "url(" not in style.sheet("x")


def test_hostile_text_is_seen_and_does_nothing(page: Page, folder: Path) -> None:
    raw = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in raw
    assert "\u202e" not in raw
    assert "\x1b" not in raw
    assert "<script>alert(1)</script>" in page.text.replace(" ", "")
    assert "\\u202egnp.exe\\x1b[31m" in page.text
    assert "w" * 400 not in page.text
    assert "(cut)" in page.text


def test_every_table_has_a_name_and_heads_and_every_chart_says_what_it_shows(
    page: Page,
) -> None:
    heads = page.all("th")
    assert heads
    assert {one.get("scope") for one in heads} == {"col", "row"}
    pictures = page.all("svg")
    assert len(pictures) == 3
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(ids) == len(set(ids))
    for picture in pictures:
        assert picture["role"] == "img"
        assert set(str(picture["aria-labelledby"]).split()) <= set(ids)
    assert page.all("html") == [{"lang": "en"}]
    targets = {str(one["href"]).removeprefix("#") for one in page.all("a")}
    assert targets <= set(ids)


def test_the_numbers_are_those_of_the_log(world: World, page: Page) -> None:
    entries = [entry.fields for entry in world.period.entries()]
    denied = sum(one.get("decision") == "deny" for one in entries)
    asked = sum(one["type"] == "action.approval_requested" for one in entries)
    assert f"Denied calls{denied}" in page.text
    assert f"Entries in the period{len(entries)}" in page.text
    assert f"Requests{asked}" in page.text
    assert "Calls without a complete record0" in page.text
    assert "Eve Example <eve@example.com>" in page.text
    assert "complian" not in re.sub(r"compliance[_ ](docs|team)", "", page.text.lower())


def test_the_verdict_is_pass_and_names_the_key(folder: Path, page: Page) -> None:
    key = note.parse_verifier((folder / "keys" / "log.vkey").read_text())
    assert "as of this exportPASS" in page.text
    assert key.key_id.hex() in page.text
    assert hashlib.sha256(key.public).hexdigest() in page.text


def test_without_the_files_of_the_proof_nothing_is_said_to_hold(world: World) -> None:
    page = Page((world.write("bare", proof=False) / "report.html").read_text())
    assert "NOT-CHECKED" in page.text
    assert "exportPASS" not in page.text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("headers.jsonl", "do not have the root"),
        ("after.bin", "do not have the root"),
        ("checkpoint", "not of this text|another one|cannot be read|no key in the folder"),
        ("keys/log.vkey", "no key in the folder signed"),
        ("bundle.json", "cannot be read"),
    ],
)
def test_a_folder_in_which_a_byte_is_wrong_fails(
    world: World, tmp_path: Path, name: str, why: str
) -> None:
    scope = world.period.scope(tmp_path)
    world._prove(tmp_path)
    assert integrity.check(scope).verdict == "PASS"
    file = tmp_path / name
    match name:
        case "keys/log.vkey":
            file.write_text(f"{note.generate(scope.log).verifier}\n")
        case "after.bin":
            file.write_bytes(b"\x00" * 32)
        case "bundle.json":
            file.write_text("{}")
        case _:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    found = integrity.check(scope)
    assert found.verdict == "FAIL"
    assert re.search(why, found.why)


def test_the_same_period_gives_the_same_bytes(world: World, folder: Path) -> None:
    again = world.folder / "again"
    again.mkdir()
    for name in ("headers.jsonl", "after.bin", "bundle.json", "checkpoint"):
        (again / name).write_bytes((folder / name).read_bytes())
    (again / "keys").mkdir()
    (again / "keys" / "log.vkey").write_bytes((folder / "keys" / "log.vkey").read_bytes())
    rich_period.frameworks(again)
    rich_period.write(world.period, world.repository, again, world.folder / "again-scratch")
    for file in ("report.html", *(f"csv/{one.name}" for one in (folder / "csv").iterdir())):
        assert (again / file).read_bytes() == (folder / file).read_bytes(), file


def test_the_tables_beside_are_whole(folder: Path) -> None:
    rows = {
        file.stem: list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))
        for file in (folder / "csv").iterdir()
    }
    assert set(rows) == {"changes", "calls", "approvals", "limits", "denials", "samples"}
    assert len(rows["approvals"]) == 10
    assert [row["four_eyes"] for row in rows["changes"]] == ["no", "yes", "no"]
    assert {row["holds"] for row in rows["limits"]} == {"yes"}
    tickets = {row["ticket"] for row in rows["samples"] if row["population"] == "calls"}
    assert len(tickets) == 25


def test_what_a_table_leaves_out_is_counted_and_named() -> None:
    made = markup.table("Names", ["Name"], [("a",)], total=3, rest="csv/names.csv")
    assert "2 more of 3 are left out here" in Page(made.html).text
    assert "csv/names.csv" in Page(made.html).text
    assert "none in this period" in markup.table("Names", ["Name"], []).html


def test_a_chart_can_be_read_without_colours_and_without_eyes() -> None:
    chart = bars("Title", "Summary.", ("a", "b"), [Bar("one", (3, 1), "4", mark=5)], "chart")
    page = Page(chart.html)
    assert "Title" in page.text
    assert "Summary." in page.text
    fills = {one["fill"] for one in page.all("rect")}
    assert {"#333", "url(#chart-lines)"} <= fills


def test_the_paper_is_the_same_bytes(tmp_path: Path) -> None:
    page = markup.tag("p", "Words. " * 40)
    whole = (
        f'<!DOCTYPE html><html lang="en"><title>T</title><style>{style.sheet("foot")}</style>'
    )
    whole += page.html * 60
    for name in ("a.pdf", "b.pdf"):
        assert paper.write(whole, tmp_path / name, b"\x01" * 32) == ""
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-1.7")


def test_paper_that_asks_for_something_does_not_get_it(tmp_path: Path) -> None:
    asked = '<html lang="en"><title>T</title><p>x<img src="file:///etc/passwd" alt="x">'
    assert paper.write(asked, tmp_path / "a.pdf", b"\x01" * 32) == ""
    assert b"root:" not in (tmp_path / "a.pdf").read_bytes()
