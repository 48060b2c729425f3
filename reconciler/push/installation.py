"""The script that git runs before a push moves a ref, and how it comes and goes.

    absent ──install──> ours ──install──> ours (written anew)
    somebody else's ──install──> refused; with `chain` ──> ours, which runs theirs first
    ours ──uninstall──> absent, or theirs where it was

A hook that is not ours is never overwritten and never removed. The script holds three names
and no secret: the interpreter, the home, the source.
"""

import contextlib
import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from reconciler.git import address as git_address
from reconciler.git.command import GitCommand
from runner.contract import errors

MARK: Final = "# orloj-hook: 1"
CHAINED: Final = "pre-receive.before-orloj"
_PUSH_OPTIONS: Final = "receive.advertisePushOptions"
_FSCK: Final = "receive.fsckObjects"
"""The daemon's mirror takes no malformed object: a push that brings one is stopped by git."""
_FSCK_OF_ALL: Final = "transfer.fsckObjects"
_SET: Final = re.compile(r"^# set with it:(( [a-z]+\.[A-Za-z]+)*)$", re.MULTILINE)
_BYTES_MAX: Final = 65_536

_SCRIPT: Final = """#!/bin/sh
{mark}
# Shows each pusher the plan before a ref moves, and refuses what cannot be applied.
# Made by `orloj hook install`, taken out by `orloj hook uninstall`. Holds no secret.
# set with it:{set_with_it}
python={python}
if ! [ -x "$python" ]; then
  echo "error: refused, since Orloj is gone from $python." >&2
  echo "Install it there, or take its hook out of this repository: rm hooks/pre-receive" >&2
  exit 1
fi
{run}
"""
_ALONE: Final = "exec {call}"
_AFTER: Final = """before=$(dirname "$0")/{chained}
lines=$(cat)
if [ -x "$before" ]; then
  printf '%s\\n' "$lines" | "$before" "$@" || exit $?
fi
printf '%s\\n' "$lines" | {call}"""


class Presence(StrEnum):
    """Whose hook a repository has."""

    ABSENT = "absent"
    """None."""
    OURS = "ours"
    """The one that an install would write now."""
    OTHER = "other settings"
    """One of ours, for another interpreter, home or source."""
    FOREIGN = "somebody else's"
    """One that Orloj did not make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What the script runs: which Orloj, with which home, for which source.

    `pusher_from` is the variable in which a Git host names who pushes.
    """

    python: str
    home: Path
    source: str
    pusher_from: str = ""

    def script(self, *, chained: bool = False, set_with_it: Iterable[str] = ()) -> str:
        """The script; `chained` runs the hook that was there before, first.

        `set_with_it` names the settings of the repository that go with it.
        """
        words = [
            *("-I", "-m", "reconciler.cli.pre_receive"),
            *("--home", str(self.home), "--source", self.source),
            *(("--pusher-from", self.pusher_from) if self.pusher_from else ()),
        ]
        call = f'"$python" {shlex.join(words)}'
        run = (_AFTER if chained else _ALONE).format(call=call, chained=CHAINED)
        return _SCRIPT.format(
            mark=MARK,
            python=shlex.quote(self.python),
            run=run,
            set_with_it="".join(f" {name}" for name in set_with_it),
        )


class HookFolder:
    """The hooks of one bare repository."""

    def __init__(self, repository: Path, folder: Path) -> None:
        """`folder` is where git finds what it needs; Refused for what is no bare repository."""
        self.repository = repository.resolve()
        address = git_address.Address(url=str(self.repository), local=self.repository)
        self._git = GitCommand(address, folder, 30.0)
        self.file = self.repository / "hooks" / "pre-receive"
        self._before = self.file.with_name(CHAINED)
        bare = self._git.local("rev-parse", "--is-bare-repository", mirror=self.repository)
        if not bare.ok:
            raise errors.Refused(f"{self.repository} is no Git repository: name a bare one")
        if bare.output.strip() != b"true":
            raise errors.Refused(
                f"{self.repository} has a working tree, and what is committed there is not"
                " pushed: make a bare one with git clone --bare, and set source.url to it"
            )
        if elsewhere := self._configured("core.hooksPath"):
            raise errors.Refused(
                f"core.hooksPath of {self.repository} says that its hooks are in"
                f" {git_address.plain(elsewhere)}: put what `orloj hook show` prints there, as"
                " pre-receive"
            )

    def presence(self, hook: Hook) -> Presence:
        """Whose hook there is, compared with the one that an install would write."""
        text = self._text()
        if text is None:
            return Presence.ABSENT
        if MARK not in text.splitlines():
            return Presence.FOREIGN
        wanted = hook.script(chained=self.chained, set_with_it=_set_with_it(text))
        sound = text == wanted and os.access(self.file, os.X_OK)
        return Presence.OURS if sound and self.push_options else Presence.OTHER

    @property
    def chained(self) -> bool:
        """Whether ours runs another hook first."""
        return self._before.exists()

    @property
    def push_options(self) -> bool:
        """Whether git takes what is said with -o."""
        return self._configured(_PUSH_OPTIONS) == "true"

    def install(self, hook: Hook, *, chain: bool) -> None:
        """Put the script there; Refused if another hook would have to go for it."""
        presence = self.presence(hook)
        if presence is Presence.FOREIGN and not chain:
            raise errors.Refused(
                f"{self.file} is a hook that Orloj did not make, and stays as it is: run it"
                " before Orloj's with --chain, or call what `orloj hook show` prints from it"
            )
        there = _set_with_it(self._text() or "") if presence is not Presence.FOREIGN else ()
        missing = [] if self.push_options else [_PUSH_OPTIONS]
        said = self._configured(_FSCK) or self._configured(_FSCK_OF_ALL)
        missing += [] if said else [_FSCK]
        names = tuple(dict.fromkeys((*there, *missing)))
        with _saying(self.file):
            self.file.parent.mkdir(exist_ok=True)
            if presence is Presence.FOREIGN:
                if self._before.exists():
                    raise errors.Refused(f"{self._before} is there already: move it away")
                self.file.rename(self._before)
            _write(self.file, hook.script(chained=self.chained, set_with_it=names))
        for name in missing:
            self._configure(name, "true")

    def uninstall(self) -> bool:
        """Take the script out and put back what was there; whether there was one of ours."""
        text = self._text()
        if text is None or MARK not in text.splitlines():
            return False
        with _saying(self.file):
            if self.chained:
                self._before.replace(self.file)
            else:
                self.file.unlink()
        # Without a hook that reads it, `-o plan-only` would be taken and not minded.
        for name in _set_with_it(text):
            self._configure(name, None)
        return True

    def _text(self) -> str | None:
        """The hook that is there; None without one."""
        try:
            with self.file.open("rb") as file:
                return file.read(_BYTES_MAX).decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Refused(f"cannot read {self.file}: {error.strerror}") from error

    def _configured(self, name: str) -> str:
        arguments = ("config", "--file", str(self.repository / "config"), "--get", name)
        return self._git.local(*arguments, mirror=None).output.decode().strip()

    def _configure(self, name: str, value: str | None) -> None:
        change = ("--unset-all", name) if value is None else ("--replace-all", name, value)
        file = str(self.repository / "config")
        done = self._git.local("config", "--file", file, *change, mirror=None)
        if not done.ok:
            raise errors.Refused(f"cannot set {name} of {self.repository}: {done.words}")


def _set_with_it(text: str) -> tuple[str, ...]:
    """The settings that a script of ours says were made for it."""
    found = _SET.search(text)
    return tuple(found[1].split()) if found else ()


def _write(file: Path, text: str) -> None:
    """Put a program there at once, so that no push meets half of it."""
    descriptor, unfinished = tempfile.mkstemp(dir=file.parent, prefix=".pre-receive-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        os.fchmod(stream.fileno(), 0o755)
    Path(unfinished).replace(file)


@contextlib.contextmanager
def _saying(file: Path) -> Iterator[None]:
    """Turn a failure of the disk into a sentence."""
    try:
        yield
    except OSError as error:
        raise errors.Refused(f"cannot write {file}: {error.strerror}") from error
