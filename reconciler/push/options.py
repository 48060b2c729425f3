"""What a pusher says with `git push -o`. Pure.

    plan-only                 show the plan, move nothing
    approve=PLAN_ID           this is the plan I have read
    allow-destroy=KEY         let this deletion pass; may be given again
    override-freeze=REASON    apply although a window is closed
    accept-rewrite=REASON     follow the rewritten history

Somebody else may have typed them on the pusher's behalf, so that every one is a plain word or
refused; an option nobody knows is a mistake, and never passed over.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LENGTH_MAX: Final = 500
COUNT_MAX: Final = 100
KNOWN: Final = (
    "plan-only, approve=PLAN_ID, allow-destroy=KEY, override-freeze=REASON,"
    " accept-rewrite=REASON"
)
_VALUED: Final = ("approve", "allow-destroy", "override-freeze", "accept-rewrite")
_NAMES: Final = ("plan-only", *_VALUED)
_PLAN_ID: Final = re.compile(r"(sha256:)?[0-9a-f]{64}|[0-9a-f]{12}")
_KEY: Final = re.compile(r"[a-z]+(/[A-Za-z0-9][A-Za-z0-9._-]*){2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was said; `mistakes` are sentences, and with one of them nothing else counts.

    `ours` says whether anything was said to us, right or wrong.
    """

    ours: bool = False
    plan_only: bool = False
    approve: str = ""
    destroys: tuple[str, ...] = ()
    freeze: str = ""
    rewrite: str = ""
    mistakes: tuple[str, ...] = ()


def may_call(text: str) -> bool:
    """Whether a text can be the id of a plan, whole or in short."""
    return _PLAN_ID.fullmatch(text) is not None


def parse(given: Sequence[str]) -> Options:
    """What the options of one push come to."""
    ours = any(option.partition("=")[0] in _NAMES for option in given)
    if mistakes := tuple(dict.fromkeys(_mistakes(given[:COUNT_MAX]))):
        return Options(ours=ours, mistakes=mistakes)
    if len(given) > COUNT_MAX:
        return Options(ours=ours, mistakes=(f"a push may have {COUNT_MAX} options",))
    return Options(
        ours=ours,
        plan_only="plan-only" in given,
        approve=next(_values(given, "approve"), ""),
        destroys=tuple(dict.fromkeys(_values(given, "allow-destroy"))),
        freeze=next(_values(given, "override-freeze"), ""),
        rewrite=next(_values(given, "accept-rewrite"), ""),
    )


def _values(given: Iterable[str], name: str) -> Iterator[str]:
    for option in given:
        if option.startswith(f"{name}="):
            yield option[len(name) + 1 :].strip()


def _mistakes(given: Sequence[str]) -> Iterator[str]:
    for option in given:
        if mistake := _mistake(option):
            yield mistake
    for name in ("approve", "override-freeze", "accept-rewrite"):
        if len(set(_values(given, name))) > 1:
            yield f"-o {name} was given twice, and not the same"


def _mistake(option: str) -> str:
    """What is wrong with one option; nothing is a right one."""
    name, sign, value = option.partition("=")
    if len(option) > LENGTH_MAX:
        return f"-o {option[:40]}… is longer than {LENGTH_MAX} characters"
    if not option.isprintable():
        return f"-o {option} holds control characters"
    if option == "plan-only":
        return ""
    if name not in _VALUED:
        return f"-o {option} is no option of this repository; there are: {KNOWN}"
    return _misused(name, value.strip()) if sign else f"-o {name} needs a value: -o {name}=…"


def _misused(name: str, value: str) -> str:
    if name == "approve" and not may_call(value):
        return f"-o approve={value} is no plan id: it has 12 hex digits, as a plan begins with"
    if name == "allow-destroy" and not _KEY.fullmatch(value):
        return f"-o allow-destroy={value} names no resource: write it as agent/default/triage"
    if name in ("override-freeze", "accept-rewrite") and not value:
        return f"-o {name} needs a reason, which the log keeps: -o {name}='…'"
    return ""
