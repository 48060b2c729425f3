"""Whether a checkpoint that others hold is one of this log, and not of another past.

A remote that is ahead of us, or holds another root, says that *we* were put back or were
rewritten; one that is behind what it once took says that *it* was. Neither is mended here.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from reconciler.proof import checkpoints, keys
from reconciler.proof.checkpoint import Checkpoint
from reconciler.proof.inclusion import Tree
from runner.contract import audit

ROLLED_BACK: Final = "AuditLogRolledBack"
FORKED: Final = "AuditLogForked"
FOREIGN: Final = "AuditRemoteForeign"
REWOUND: Final = "AuditRemoteRewound"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How two accounts of one log differ. `reason` is a stable name."""

    reason: str
    message: str

    @property
    def ours(self) -> bool:
        """Whether it is our log that is not what was signed: then nothing may be signed."""
        return self.reason in (ROLLED_BACK, FORKED)


def compared(
    connection: Connection, text: str | None, published: int, where: str
) -> Disagreement | None:
    """How the newest note that somebody holds differs from this log; None: it does not.

    `text` is None where nothing is held. `published` is how many entries were published
    there before. AuditBroken when the log cannot say.
    """
    if text is None:
        return _behind(0, published, where)
    log = audit.name(connection)
    known = [one.key for one in keys.known(connection)]
    try:
        said, _ = checkpoints.opened(text, known, log)
    except ValueError as error:
        return Disagreement(
            FOREIGN,
            f"the newest checkpoint at {where} is none of this log: {error}. Somebody else"
            " wrote there, or this database does not know the key of today; look at it with"
            " `orloj audit verify`",
        )
    return _against(connection, said, where) or _behind(said.size, published, where)


def _against(connection: Connection, said: Checkpoint, where: str) -> Disagreement | None:
    entries = audit.end(connection)[0]
    if said.size > entries:
        return Disagreement(
            ROLLED_BACK,
            f"{said.size} entries were published to {where}, and this log has {entries}: its"
            " end was cut off, or the database was put back to an older copy. Nothing is"
            " signed until the newer copy is back",
        )
    if said.size and Tree(connection, said.size).head != said.root:
        return Disagreement(
            FORKED,
            f"the first {said.size} entries of this log are not those that were published to"
            f" {where}: they were rewritten, or two homes write one log. Nothing is signed;"
            " run `orloj audit verify`",
        )
    return None


def _behind(size: int, published: int, where: str) -> Disagreement | None:
    if size >= published:
        return None
    return Disagreement(
        REWOUND,
        f"{where} shows {size} entries, and it took {published} before: somebody put its"
        " refs/audit back. Restore it there; or, once you know who did it, publish on top of"
        " it with `orloj audit checkpoint --publish --anew`",
    )
