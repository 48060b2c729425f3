"""A cell of a table for spreadsheets, which none of them runs as a formula. Pure."""

from typing import Final

# What spreadsheets take for a formula: OWASP, CSV Injection, with the full-width forms
# that some of them turn into the plain ones.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def harmless(cell: str) -> str:
    """A cell that begins with an apostrophe where it would be run."""
    return "'" + cell if cell[:1] in _FORMULA_STARTS else cell
