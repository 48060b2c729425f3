"""Whose signatures make a checkpoint count: a policy file, and whether a note meets it. Pure.

    log <vkey> [<url>]                  any one of the logs must have signed
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>…    k of its members, witnesses or groups
    quorum <name>|none                  exactly one; must have cosigned

A name stands for what a line before it defined, and is a member once at most, so that nobody
counts twice. Source: c2sp.org/tlog-policy.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.proof import checkpoint, note
from reconciler.proof.note import Note, VerifierKey

LINES_MAX: Final = 1_000
NONE: Final = "none"
_LOG_TYPES: Final = frozenset({note.ED25519, note.ML_DSA_44})
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness: what the policy calls it, its key, and where it is asked; empty: nowhere."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these members must have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says. `logs` may be empty: then it is known from elsewhere."""

    quorum: str
    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)

    def keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of the log that calls itself so."""
        return tuple(key for key in self.logs if key.name == origin)

    def met_by(self, cosigned: Iterable[str]) -> bool:
        """Whether these witnesses, by what the policy calls them, are a quorum."""
        have = set(cosigned)
        for name, group in self.groups.items():  # Members stand before their group.
            if sum(member in have for member in group.members) >= group.threshold:
                have.add(name)
        return self.quorum == NONE or self.quorum in have


def satisfied(signed: Note, policy: Policy) -> bool:
    """Whether a log of the policy signed this checkpoint, and a quorum cosigned it.

    False for what is no checkpoint, and when a known key's signature is wrong. With a policy
    that names no logs, whether the log signed is for the caller to check.
    """
    try:
        said = checkpoint.parse(signed.text)
        by_log = not policy.logs or note.verified(signed, policy.keys_of(said.origin))
    except ValueError:
        return False
    return bool(by_log) and policy.met_by(cosigners(signed, policy))


def cosigners(signed: Note, policy: Policy) -> list[str]:
    """The witnesses of the policy that cosigned a note, by what the policy calls them.

    A signature of one that is wrong counts for nothing, and takes nothing from the others.
    """
    return [
        witness.name
        for witness in policy.witnesses
        if note.cosigned_at(signed, witness.key) is not None
    ]


def parse(content: str, path: str) -> Policy:
    """A policy from its file; ValueError with `path:line` says what is wrong with it."""
    reader = _Reader()
    lines = content.split("\n")
    for number, line in enumerate(lines, 1):
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if number > LINES_MAX:
            raise ValueError(f"{path}:{number}: more than {LINES_MAX} lines")
        try:
            if any((letter < " " and letter != "\t") or letter == "\x7f" for letter in line):
                raise ValueError("a control character")
            if words and not words[0].startswith("#"):
                reader.take(words)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
    if reader.quorum is None:
        raise ValueError(f"{path}:{len(lines)}: no quorum line; `quorum none` asks for nobody")
    return Policy(reader.quorum, tuple(reader.logs), tuple(reader.witnesses), reader.groups)


class _Reader:
    """Takes a policy line by line."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: list[Witness] = []
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._names: set[str] = set()
        self._members: set[str] = set()
        self._public: set[tuple[str, bytes]] = set()

    def take(self, words: list[str]) -> None:
        """Take a line's words; ValueError."""
        readers: dict[str, Callable[[list[str]], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }
        read = readers.get(words[0])
        if read is None:
            raise ValueError(f"{words[0][:40]!r} is none of log, witness, group, quorum")
        read(words[1:])

    def _log(self, words: list[str]) -> None:
        if not 1 <= len(words) <= 2:
            raise ValueError("write `log <vkey> [<url>]`")
        key = self._key("log", words[0])
        if key.type not in _LOG_TYPES:
            raise ValueError("this key signs no log, it cosigns")
        self.logs.append(key)

    def _witness(self, words: list[str]) -> None:
        if not 2 <= len(words) <= 3:
            raise ValueError("write `witness <name> <vkey> [<url>]`")
        self._new(words[0])
        key = self._key("witness", words[1])
        if key.type not in note.COSIGNATURES:
            raise ValueError("this key cosigns nothing, it signs a log")
        self.witnesses.append(Witness(words[0], key, *words[2:]))

    def _group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise ValueError("write `group <name> all|any|<number> <name>…`")
        name, count, *members = words
        for member in members:
            self._known(member)
            if member in self._members:
                raise ValueError(f"{member} is a member already, and counts once")
            self._members.add(member)
        self._new(name)
        size = len(members)
        threshold = {"all": size, "any": 1}.get(count)
        if threshold is None and _COUNT.fullmatch(count):
            threshold = int(count)
        if threshold is None or threshold > size:
            raise ValueError(f"{count[:40]!r} is none of all, any and 1 to {size}")
        self.groups[name] = Group(threshold, tuple(members))

    def _quorum(self, words: list[str]) -> None:
        if len(words) != 1:
            raise ValueError("write `quorum <name>` or `quorum none`")
        if self.quorum is not None:
            raise ValueError("there is a quorum line already")
        if words[0] != NONE:
            self._known(words[0])
        self.quorum = words[0]

    def _new(self, name: str) -> None:
        if name == NONE:
            raise ValueError("`none` stands for no witness at all")
        if name in self._names:
            raise ValueError(f"{name} is defined already")
        self._names.add(name)

    def _known(self, name: str) -> None:
        if name not in self._names:
            raise ValueError(f"{name} is defined on no line before this one")

    def _key(self, what: str, vkey: str) -> VerifierKey:
        """A key that no line like this one names; the same under another name is the same."""
        key = note.parse_verifier(vkey)
        if (what, key.public) in self._public:
            raise ValueError(f"a {what} with this key is defined already")
        self._public.add((what, key.public))
        return key
