"""One statement on one SQLite database, in a process of its own. Standard library only.

The database itself is made to refuse, four times over, what the access does not allow: the
file is opened read-only, the connection is told `query_only`, SQLite's authorizer is asked
at every table, column, function and kind of statement while it compiles the text, and what
runs has a budget.

    walk to the file -> open -> harden -> begin -> fence up -> one statement -> fence down
                                              read: rolled back, else: committed
"""

import os
import sqlite3
import stat
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from runner.contract.errors import ToolFailed
from runner.functions.sql_answer import Answer, as_json
from runner.functions.sql_fence import Fence

STEPS_MAX: Final = 1_000_000_000
STEPS_BETWEEN_LOOKS: Final = 20_000
TEXT_MAX: Final = 100_000
HEAP_BYTES_MAX: Final = 128 * 1024 * 1024
BUSY_S: Final = 5.0
TRIES: Final = 5
YOUNG_NS: Final = 50_000_000
"""A file's times are this coarse: what is younger may change and look the same."""

_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LENGTH: 16 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: TEXT_MAX,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 250_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 1_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 16,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
# Python 3.12 and newer: what of SQLite's own switches there is.
_SWITCHES: Final = {
    "SQLITE_DBCONFIG_DEFENSIVE": True,
    "SQLITE_DBCONFIG_TRUSTED_SCHEMA": False,
    "SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION": False,
    "SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER": False,
}


class _Moved(Exception):
    """Another process wrote the file while it was read without locks."""


def query(arguments: dict[str, Any], config: dict[str, Any], root: Path) -> str:
    """`{"columns", "rows", "truncated"}` as JSON; ToolFailed.

    `config`: path, access (read, write, admin), tables, writable, rows_max, bytes_max, limit_s.
    """
    text, parameters = arguments["query"], arguments["parameters"]
    deadline = time.monotonic() + float(config["limit_s"])
    for _ in range(TRIES):
        with suppress(_Moved):
            return _once(text, parameters, config, root, deadline)
    raise ToolFailed("the database is written too often to be read now", retryable=True)


def _once(
    text: str, parameters: list[Any], config: dict[str, Any], root: Path, deadline: float
) -> str:
    path, identity = _walk(root, config["path"])
    unlocked = config["access"] == "read" and _is_closed_wal(path)
    before = _settled(path) if unlocked else ()
    try:
        with closing(_open(path, config["access"], unlocked=unlocked)) as connection:
            _harden(connection, config["access"])
            if identity not in _held():
                raise ToolFailed(f"{config['path']} was replaced while it was opened")
            answer = _guarded(connection, text, parameters, config, deadline)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        if unlocked and _times(path) != before:
            raise _Moved from None
        raise _explained(error) from None
    if unlocked and _times(path) != before:
        raise _Moved
    return answer


def _walk(root: Path, name: str) -> tuple[Path, tuple[int, int]]:
    """The path of a regular file below `root` and what it is, reached through no link."""
    steps = name.split("/")
    # O_PATH: closing any other descriptor of the file would drop SQLite's locks on it.
    flags = os.O_PATH | os.O_CLOEXEC
    try:
        with ExitStack() as held:
            here = os.open(root, flags | os.O_DIRECTORY)
            held.callback(os.close, here)
            for step in steps:
                here = os.open(step, flags | os.O_NOFOLLOW, dir_fd=here)
                held.callback(os.close, here)
            found = os.fstat(here)
    except OSError as error:
        raise ToolFailed(f"the database {name} cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ToolFailed(f"the database {name} is not a regular file with one name")
    return root.joinpath(*steps), (found.st_dev, found.st_ino)


def _held() -> set[tuple[int, int]]:
    """What the open descriptors of this process stand for."""
    held = set()
    for descriptor in range(3, 64):
        with suppress(OSError):
            found = os.fstat(descriptor)
            held.add((found.st_dev, found.st_ino))
    return held


def _is_closed_wal(path: Path) -> bool:
    """Whether it is in WAL mode and nobody has it open to write.

    SQLite would make the two files beside it, for which a reader has no right; it is read
    without locks then, and read again if anybody wrote it meanwhile.
    """
    with path.open("rb") as file:
        header = file.read(20)
    return header[18:20] == b"\x02\x02" and not path.with_name(path.name + "-wal").exists()


def _times(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_ctime_ns, found.st_mtime_ns


def _settled(path: Path) -> tuple[int, ...]:
    """The file's times, once they are old enough that every later write changes them."""
    before = _times(path)
    age_ns = time.time_ns() - max(before[-2:])  # noqa: TID251 - a file's times are of this clock.
    if age_ns < YOUNG_NS:
        time.sleep(YOUNG_NS / 1e9)
        raise _Moved
    return before


def _open(path: Path, access: str, *, unlocked: bool) -> sqlite3.Connection:
    how = "mode=ro&readonly_shm=1" if access == "read" else "mode=rw"
    address = f"file:{quote(str(path))}?{how}" + ("&immutable=1" if unlocked else "")
    return sqlite3.connect(
        address, uri=True, isolation_level=None, timeout=BUSY_S, cached_statements=0
    )


def _harden(connection: sqlite3.Connection, access: str) -> None:
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    for name, on in _SWITCHES.items():
        if hasattr(connection, "setconfig") and hasattr(sqlite3, name):
            connection.setconfig(getattr(sqlite3, name), on)
    for category, limit in _LIMITS.items():
        connection.setlimit(category, limit)
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "mmap_size = 0",
        "temp_store = MEMORY",
        "foreign_keys = ON",
        f"hard_heap_limit = {HEAP_BYTES_MAX}",
        f"query_only = {'ON' if access == 'read' else 'OFF'}",
        "schema_version",  # The first that opens the file.
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _guarded(
    connection: sqlite3.Connection,
    text: str,
    parameters: list[Any],
    config: dict[str, Any],
    deadline: float,
) -> str:
    reading = config["access"] == "read"
    connection.execute("BEGIN" if reading else "BEGIN IMMEDIATE")
    fence = Fence(connection, config)
    budget = _Budget(deadline)
    connection.set_authorizer(fence)
    connection.set_progress_handler(budget, STEPS_BETWEEN_LOOKS)
    try:
        cursor = connection.execute(text, parameters)
        answer = _answer(cursor, config)
        cursor.close()
    except (sqlite3.Error, sqlite3.Warning) as error:
        reason = fence.refusal or budget.refusal
        raise ToolFailed(reason) if reason else error from None
    if not fence.asked:
        raise ToolFailed("query holds no statement")
    connection.set_progress_handler(None, 0)
    connection.set_authorizer(None)
    connection.execute("ROLLBACK" if reading else "COMMIT")
    return answer


class _Budget:
    """Stops a statement that takes too many steps or too long."""

    def __init__(self, deadline: float) -> None:
        self.refusal = ""
        self._deadline = deadline
        self._steps = 0

    def __call__(self) -> bool:
        self._steps += STEPS_BETWEEN_LOOKS
        if self._steps > STEPS_MAX or time.monotonic() > self._deadline:
            self.refusal = "the statement was stopped: it takes too long; ask for less"
        return bool(self.refusal)


def _answer(cursor: sqlite3.Cursor, config: dict[str, Any]) -> str:
    columns = [entry[0] for entry in cursor.description or ()]
    answer = Answer(columns, config["rows_max"], config["bytes_max"])
    reading = config["access"] == "read"
    for row in cursor:
        # What writes is carried out to its end, whether or not it is shown.
        if not answer.add([as_json(value) for value in row]) and reading:
            break
    return answer.text(changed=None if reading else max(cursor.rowcount, 0))


def _explained(error: Exception) -> ToolFailed:
    text = str(error)
    busy = isinstance(error, sqlite3.OperationalError) and "locked" in text
    if "one statement at a time" in text:
        text = "query holds more than one statement"
    if "readonly" in text or "unable to open" in text:
        text += "; if a writer of it crashed, its owner has to open it once"
    return ToolFailed(f"the database says: {text}", retryable=busy)
