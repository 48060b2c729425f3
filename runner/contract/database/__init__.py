"""Open the database of a home, and bring it to the newest schema.

SQLite in a file unless the settings name a PostgreSQL server. A SQLite file is migrated
when it is opened, since nobody else uses it; a server, which many hosts use, by
`orloj migrate`.
"""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from runner.contract import errors
from runner.contract.database import dialect
from runner.contract.database.handle import Database, Leadership
from runner.contract.database.sqlite import FILE_NAME, SqliteDatabase

__all__ = [
    "FILE_NAME",
    "Database",
    "Leadership",
    "connect",
    "migrate",
    "migrations",
    "open_database",
]

_FOLDER: Final = "runner.contract.migrations"


def open_database(home: Path, url: str = "") -> Database:
    """The database of a home, ready to use; DatabaseUnavailable, SettingsInvalid."""
    database = connect(home, url)
    if not database.shared:
        migrate(database)
        return database
    with database.read() as connection:
        version = database.version(connection)
    newest = len(migrations())
    if version != newest:
        database.close()
        raise errors.DatabaseUnavailable(
            f"{database.name} has schema {version}, this program has {newest}; "
            + ("run the newer orloj" if version > newest else "run `orloj migrate` once")
        )
    return database


def connect(home: Path, url: str = "") -> Database:
    """A handle on the database of a home, whatever its schema; DatabaseUnavailable."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if url:
            # Only here: who uses SQLite does not wait for another driver.
            from runner.contract.database.postgresql import PostgresqlDatabase

            return PostgresqlDatabase(home, url)
        # SQLite gives its other files the mode of this one.
        (home / FILE_NAME).touch(mode=0o600)
        database = SqliteDatabase(home)
        database.prepare()
    except OSError as error:
        raise errors.DatabaseUnavailable(
            f"cannot open {home / FILE_NAME}: {error.__class__.__name__}: "
            f"{str(error).splitlines()[0]}; check the folder's owner and free space"
        ) from error
    return database


def migrate(database: Database) -> tuple[int, int]:
    """Apply every step this database has not seen: the schema before, and now.

    DatabaseUnavailable for a database that a newer program has migrated.
    """
    steps = migrations()
    with database.read() as connection:
        before = database.version(connection)
    if before > len(steps):
        raise errors.DatabaseUnavailable(
            f"{database.name} has schema {before}, this program knows {len(steps)}; "
            "run the newer orloj that wrote it"
        )
    if before < len(steps):
        with database.write() as connection:
            dialect.alone(connection, dialect.SCHEMA)
            seen = database.version(connection)
            for number, script in enumerate(steps[seen:], seen + 1):
                database.migrate_to(connection, number, list(_statements(script)))
    return before, len(steps)


def migrations() -> list[str]:
    """The scripts of all steps, in order."""
    folder = resources.files(_FOLDER)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def _statements(script: str) -> Iterator[str]:
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    for statement in "\n".join(lines).split(";"):
        if statement.strip():
            yield statement
