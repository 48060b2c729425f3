"""Names of variables that a manifest may give a program: those that steer no loader. Pure."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_FORM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_STEERING: Final = re.compile(r"LD_.*|GCONV_PATH|GETCONF_DIR|GLIBC_TUNABLES|LOCPATH|NLSPATH")


def _name(name: str) -> str:
    if not _FORM.fullmatch(name):
        raise ValueError(f"{name!r} is no variable: it has letters, digits and underscores")
    # What makes the sandbox starts with the same environment, and outside of it: a library
    # that the loader is told to take would run there.
    if _STEERING.fullmatch(name):
        raise ValueError(
            f"{name} steers the loader of whatever starts the program, outside the sandbox;"
            " give the program its libraries beside itself"
        )
    return name


VariableName = Annotated[str, AfterValidator(_name)]
