"""A real browser shows the report without an error or a request, and prints it with its foot.

Chromium is needed, and poppler's pdftotext: `.ci/test` installs both. Without them these tests
fail, they are not skipped: that a page looks right in theory is not what is promised.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import rich_period
from period import Period
from repository import Repository

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    assert found, f"this test needs {names[0]}: sudo apt-get install chromium poppler-utils"
    return found


def browse(folder: Path, page: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(*BROWSERS), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments,
         page.as_uri()],
        capture_output=True, text=True, timeout=100, check=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip


def pages(pdf: Path) -> list[str]:
    shown = subprocess.run(
        [program("pdftotext"), "-layout", str(pdf), "-"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return shown.stdout.decode().removesuffix("\f").split("\f")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The page of a rich period, and the root of its checkpoint."""
    folder = tmp_path_factory.mktemp("browser")
    repository = Repository(folder)
    period = Period(folder / "home", repository.origin)
    rich_period.fill(period, repository, calls=2)
    rich_period.frameworks(folder)
    rich_period.write(period, repository, folder, folder / "scratch", pdf=True)
    yield folder / "report.html", period.scope(folder).checkpoint.root.hex()
    period.database.close()


def test_the_page_opens_without_an_error_and_without_a_request(
    world: tuple[Path, str], tmp_path: Path
) -> None:
    page, root = world
    log = tmp_path / "net.json"
    shown = browse(
        tmp_path, page, "--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom"
    )
    assert root in shown.stdout
    assert "CONSOLE" not in shown.stderr
    # The browser may ask for things of its own; none of them may come from the page.
    events = json.loads(log.read_text())["events"]
    asked = {str(event.get("params", {}).get("initiator", "")) for event in events}
    assert not [origin for origin in asked if origin.startswith("file:")]
    assert not [event for event in events if "alert" in str(event.get("params", {}).get("url"))]


def test_a_page_that_asks_for_something_would_be_seen(
    world: tuple[Path, str], tmp_path: Path
) -> None:
    page = tmp_path / "bad.html"
    text = world[0].read_text(encoding="utf-8")
    asking = '<img src="http://127.0.0.1:9/x.png" alt="x"></main>'
    page.write_text(text.replace("</main>", asking), encoding="utf-8")
    shown = browse(tmp_path, page, "--enable-logging=stderr", "--dump-dom")
    assert "CONSOLE" in shown.stderr
    assert "Content Security Policy" in shown.stderr


@pytest.mark.parametrize("made_by", ["browser", "orloj"])
def test_every_page_of_paper_carries_the_checkpoint_and_its_number(
    world: tuple[Path, str], tmp_path: Path, made_by: str
) -> None:
    page, root = world
    pdf = page.with_suffix(".pdf")
    if made_by == "browser":
        pdf = tmp_path / "printed.pdf"
        browse(tmp_path, page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    printed = pages(pdf)
    assert 8 <= len(printed) <= 40
    for number, text in enumerate(printed, start=1):
        assert f"page {number} of {len(printed)}" in text
        assert root in text
        assert "checkpoint" in text
    # A table that goes on names its columns again.
    continued = [text for text in printed if "actor worker:1" in text]
    assert len(continued) > 1
    assert all("What it says" in text for text in continued)
