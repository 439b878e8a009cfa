import logging
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from deepanalyze.audit import AuditTrail, Chain, Entry
from deepanalyze.errors import StartupError
from deepanalyze.store import Store, open_store
from deepanalyze.store.database import make_engine
from deepanalyze.store.models import metadata
from deepanalyze.store.schema import HEAD, MIGRATIONS


async def test_the_migrations_make_what_the_code_expects(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))

    assert await store.database.read(differences) == []


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_opening_again_changes_nothing(database_path: Path) -> None:
    dumps = []
    for _ in range(2):
        async with open_store(database_path):
            pass
        with sqlite3.connect(database_path) as connection:
            dumps.append(list(connection.iterdump()))
        connection.close()
    assert dumps[0] == dumps[1]


async def test_opening_leaves_the_logging_as_it_was(database_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), root.manager.disable)
    async with open_store(database_path):
        assert (root.level, list(root.handlers), root.manager.disable) == before


async def test_a_directory_with_a_percent_sign_is_fine(tmp_path: Path) -> None:
    directory = tmp_path / "100% mine?#"
    directory.mkdir()
    async with open_store(directory / "store.sqlite") as store:
        await store.ping()


async def test_a_database_of_the_first_schema_is_upgraded(database_path: Path) -> None:
    """As the first version made it, with what it kept."""
    _made(database_path, "0001", "INSERT INTO users VALUES ('user-1', 'ada', 'admin', '[]', 1)")
    async with open_store(database_path) as store:
        assert [user.name for user in await store.accounts.list_users()] == ["ada"]
        await store.audit.append(lambda head: Chain([b"key"]).extend(head, [Entry(1, "create", "ok")]))
        assert len(await store.audit.after(0, 10)) == 1
    with pytest.raises(sqlite3.IntegrityError, match="audit records are never changed"):
        _execute(database_path, "UPDATE audit_records SET action = 'delete'")


async def test_a_trail_without_objects_is_whole_after_the_upgrade(database_path: Path) -> None:
    """Its record as the second schema's version wrote and sealed it, with the key `key`."""
    _made(
        database_path,
        "0002",
        "INSERT INTO audit_records (sequence, time_ms, action, outcome, details, mac) VALUES (1, 7, 'create', 'ok', "
        "'{}', '4b7fb44f02a75c9a101478307fcde70f9150a4d3bbf9a3f8f73167f3b56e9bc0')",
        "INSERT INTO audit_marks VALUES ('head', 1, "
        "'4b7fb44f02a75c9a101478307fcde70f9150a4d3bbf9a3f8f73167f3b56e9bc0', "
        "'9c9be813f0f7bbc98734df5cf18fee6af1fb2b82540cc0c2092852b44b842fdd')",
    )
    async with open_store(database_path) as store, AuditTrail(store.audit, Chain([b"key"])) as trail:
        await trail.append(Entry(8, "change", "ok", object_type="user", object_id="user-1"))
        found = await trail.verify()
        assert (found.records, found.first_broken) == (2, None)


async def test_a_newer_database_is_refused_untouched(database_path: Path) -> None:
    async with open_store(database_path):
        pass
    _execute(database_path, "UPDATE alembic_version SET version_num = '9999'")
    content = database_path.read_bytes()
    with pytest.raises(StartupError, match=rf"newer DeepAnalyze \(schema 9999, this one knows {HEAD}\)"):
        async with open_store(database_path):
            pass
    assert database_path.read_bytes() == content


async def test_somebody_elses_database_is_refused(database_path: Path) -> None:
    _execute(database_path, "CREATE TABLE recipes (id INTEGER)")
    with pytest.raises(StartupError, match="not one of DeepAnalyze"):
        async with open_store(database_path):
            pass


async def test_a_file_that_is_no_database_is_refused(database_path: Path) -> None:
    database_path.write_bytes(b"these are my notes, not a database. " * 100)
    with pytest.raises(StartupError, match="the file is not a database") as raised:
        async with open_store(database_path):
            pass
    assert "\n" not in str(raised.value)


async def test_a_directory_in_its_place_and_a_missing_directory_are_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "no" / "store", "No such file")):
        with pytest.raises(StartupError, match=reason):
            async with open_store(path):
                pass


def _made(path: Path, revision: str, *statements: str) -> None:
    """A database as an older version left it."""
    engine = make_engine(path)

    with engine.execution_options(writes=True).begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, revision)
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def _execute(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()
