"""Bringing a database to the schema that this version of the code knows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from deepanalyze.errors import StartupError

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0004"  # a test keeps it equal to the newest migration; knowing it here saves importing Alembic at each start


def bring_to_head(connection: Connection, database: Path) -> None:
    """Runs in the caller's transaction: either every missing migration is applied, or none."""
    current = _current_revision(connection)
    if current == HEAD:
        return
    if current is None and inspect(connection).get_table_names():
        raise StartupError(
            f"{database} is a database, but not one of DeepAnalyze; choose another data directory"
        )
    _migrate(connection, database, current)


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _migrate(connection: Connection, database: Path, current: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise StartupError(
            f"{database} was written by a newer DeepAnalyze (schema {current}, this one knows {HEAD}); "
            "upgrade DeepAnalyze, or use another data directory"
        )
    command.upgrade(config, "head")
