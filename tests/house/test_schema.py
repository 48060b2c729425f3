"""The schema after all migrations is the one that the SQLModel tables declare, on both."""

from collections.abc import Iterator

import home
import pytest
from postgresql_server import Server
from sqlalchemy import Engine, Inspector, inspect
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, postgresql: Server) -> Iterator[Inspector]:
    url = postgresql.create("schema")
    migrated = home.opened(tmp_path_factory.mktemp("server"), url)
    with migrated.connect() as connection:
        yield inspect(connection)
    migrated.close()
    postgresql.drop("schema")


def test_a_server_has_the_same_tables(server: Inspector) -> None:
    assert set(server.get_table_names()) == {*TABLES, "schema_version"}


@pytest.mark.parametrize("table", TABLES)
def test_a_server_has_the_columns_keys_and_indexes_that_a_table_declares(
    server: Inspector, table: str
) -> None:
    declared = SQLModel.metadata.tables[table]
    found = [
        (column["name"], family(column["type"]), column["nullable"])
        for column in server.get_columns(table)
    ]
    assert found == [
        (column.name, family(column.type), column.nullable) for column in declared.columns
    ]
    keys = server.get_pk_constraint(table)["constrained_columns"]
    assert keys == [column.name for column in declared.primary_key]
    assert sorted(
        (index["name"], index["column_names"], index["unique"])
        for index in server.get_indexes(table)
    ) == sorted(
        (index.name, [column.name for column in index.columns], bool(index.unique))
        for index in declared.indexes
    )


def family(kind: object) -> str:
    """The type without its size: whole numbers are as large as the database likes."""
    name = str(kind).partition("(")[0].partition(" ")[0]
    return {"VARCHAR": "TEXT", "BIGINT": "INTEGER", "BLOB": "BYTEA"}.get(name, name)
