"""The schema after all migrations is the one that the SQLModel tables declare."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel, create_engine

from runner.contract import database, tables

assert tables.TaskRow.__tablename__ == "task"  # Importing the module fills the metadata.
TABLES = sorted(SQLModel.metadata.tables)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    folder = tmp_path_factory.mktemp("schema")
    migrated = database.open_database(folder)
    migrated.close()
    declared = create_engine(f"sqlite:///{folder / 'declared.db'}")
    SQLModel.metadata.create_all(declared)
    seen = create_engine(f"sqlite:///{migrated.path}")
    yield seen, declared
    seen.dispose()
    declared.dispose()


def test_both_have_the_same_tables(engines: tuple[Engine, Engine]) -> None:
    migrated, declared = (set(inspect(engine).get_table_names()) for engine in engines)
    assert migrated == declared == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_columns_it_declares(
    engines: tuple[Engine, Engine], table: str
) -> None:
    migrated, declared = (
        [
            (column["name"], affinity(column["type"]), column["nullable"])
            for column in inspect(engine).get_columns(table)
        ]
        for engine in engines
    )
    assert migrated == declared


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_keys_and_indexes_it_declares(
    engines: tuple[Engine, Engine], table: str
) -> None:
    migrated, declared = (
        (
            inspect(engine).get_pk_constraint(table)["constrained_columns"],
            sorted(
                (index["name"], tuple(index["column_names"]), bool(index["unique"]))
                + (condition(index),)
                for index in inspect(engine).get_indexes(table)
            ),
            inspect(engine).get_foreign_keys(table),
        )
        for engine in engines
    )
    assert migrated == declared


def affinity(kind: object) -> str:
    """The type as SQLite treats it: a text of any length is a text."""
    name = str(kind).partition("(")[0]
    return {"VARCHAR": "TEXT", "INTEGER": "INTEGER"}.get(name, name)


def condition(index: object) -> str:
    options = index.get("dialect_options", {})  # type: ignore[attr-defined]
    return str(options.get("sqlite_where", "")).replace("'", '"')
