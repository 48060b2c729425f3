"""The report as PDF, by WeasyPrint where it is installed: `pip install orloj[pdf]`.

The same page gives the same bytes: the file carries no date, and its id follows from the root
of the checkpoint. Nothing is fetched: the page needs nothing, and what asks is refused.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, Final

from runner.contract import errors

_LIBRARY: Final = "weasyprint"
MISSING: Final = (
    "report.pdf was left out: install it with `pip install 'orloj[pdf]'`, or print report.html"
    " from a browser"
)


def write(page: str, file: Path, root: bytes) -> str:
    """Write the page as PDF; why there is none, empty if there is."""
    if importlib.util.find_spec(_LIBRARY) is None:
        return MISSING
    try:
        library: Any = importlib.import_module(_LIBRARY)
    except OSError as error:
        # It loads Pango from the system, which is no Python package.
        return (
            f"report.pdf was left out: {error}; on Debian: sudo apt-get install libpango-1.0-0"
        )
    nothing = library.urls.URLFetcher(allowed_protocols=())
    made = library.HTML(string=page, url_fetcher=nothing)
    content = made.write_pdf(pdf_identifier=root.hex().encode(), pdf_variant="pdf/ua-1")
    try:
        file.write_bytes(content)
    except OSError as error:
        raise errors.Refused(f"cannot write {file}: {error.strerror}") from error
    return ""
