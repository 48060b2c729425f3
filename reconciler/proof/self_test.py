"""Before a daemon begins: that the log can be written, read back and proved, and has its key.

What cannot do that must not go on as if it kept a log: the caller refuses to start.
"""

from sqlalchemy import Connection

from reconciler.proof import keys
from reconciler.proof.inclusion import Tree
from runner.contract import audit, errors, merkle
from runner.contract.audit_entry import NO_COMMIT, Entry, EntryType
from runner.contract.database import Database
from runner.contract.settings import Settings


def begin(settings: Settings, database: Database, now_us: int) -> None:
    """Log that a daemon begins, and prove that entry; AuditBroken, SettingsInvalid."""
    entry = Entry(type=EntryType.LOG_STARTED, actor="daemon", commit=NO_COMMIT)
    with database.write() as connection:
        written = audit.append(connection, [entry], now_us)
        _key(settings, database, connection, now_us)
    assert written is not None, "one entry was written"
    size, leaf = written
    with database.read() as connection:
        tree = Tree(connection, size)
        found, path, head = tree.leaf(size - 1), tree.path(size - 1), tree.head
    if found != leaf or not merkle.included(leaf, size - 1, size, path, head):
        raise errors.AuditBroken(
            f"entry {size} of the audit log, just written, cannot be read back and proved;"
            " check the disk, and run `orloj audit verify`"
        )


def _key(settings: Settings, database: Database, connection: Connection, now_us: int) -> None:
    """The key is here, and is the log's.

    Where hosts share a database one of them without the key may stand by, and lead: commits
    are applied all the same, and that nothing is signed meanwhile is told.
    """
    try:
        key = keys.current(settings, connection, audit.name(connection))
        keys.admit(connection, key, now_us)
    except errors.SettingsInvalid:
        if not database.shared:
            raise
