"""Puts in force what the configuration file declares: at the start, and again when the file has changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from deepanalyze.configured.reading import Declarations, read_declarations
from deepanalyze.configured.users import AccountsOfFile
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.errors import AlreadyExists, ConfigurationError, DeepAnalyzeError

log = structlog.get_logger()


class Configured:
    def __init__(self, config_file: Path | None, registry: DataSourceRegistry, users: AccountsOfFile) -> None:
        self._file = config_file
        self._registry = registry
        self._users = users
        self._one_at_a_time = asyncio.Lock()

    async def apply(self) -> None:
        """Connects to nothing: a source that cannot be reached now does not concern the others.

        Raises ConfigurationError with everything that is wrong, and changes nothing then.
        """
        async with self._one_at_a_time:
            declarations = await asyncio.to_thread(
                read_declarations, self._file, self._registry.connector_class
            )
            await self._put_in_force(declarations)

    async def reload(self) -> bool:
        """As `apply`, but a file with mistakes leaves everything as it was, and the log says what is wrong."""
        try:
            await self.apply()
        except DeepAnalyzeError as error:
            log.error(
                "the configuration file was not reloaded; what was in force still is",
                file=str(self._file),
                problems=[detail["message"] for detail in error.details] or [error.message],
            )
            return False
        return True

    async def _put_in_force(self, declarations: Declarations) -> None:
        try:
            self._registry.check_declarable(declarations.sources)
        except AlreadyExists as error:
            raise ConfigurationError(error.message) from None
        ids = {source.name: source.id for source in self._registry.stored_sources()}
        ids |= {each.name: each.id for each in declarations.sources}
        await self._users.declare(declarations.users, ids)
        changes = await self._registry.declare(declarations.sources)
        if self._file is not None:
            log.info(
                "configuration file in force",
                file=str(self._file),
                users=len(declarations.users),
                sources_added=changes.added,
                sources_changed=changes.changed,
                sources_removed=changes.removed,
            )
