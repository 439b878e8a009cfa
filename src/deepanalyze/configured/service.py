"""Puts in force what the configuration file declares: at the start, and again when the file has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from deepanalyze.audit import AuditTrail, Deed, acting, note
from deepanalyze.configured.reading import read_declarations
from deepanalyze.configured.users import AccountsOfFile
from deepanalyze.datasources.declared import Changes
from deepanalyze.datasources.registry import DataSourceRegistry
from deepanalyze.errors import AlreadyExists, ConfigurationError, DeepAnalyzeError

log = structlog.get_logger()


class Configured:
    def __init__(
        self, config_file: Path | None, registry: DataSourceRegistry, users: AccountsOfFile, audit: AuditTrail
    ) -> None:
        self._file = config_file
        self._registry = registry
        self._users = users
        self._audit = audit
        self._one_at_a_time = asyncio.Lock()

    async def apply(self) -> None:
        """At the start. Connects to nothing: a source that cannot be reached now does not concern the others.

        Raises ConfigurationError with everything that is wrong, and changes nothing then; InternalError when what
        changed cannot be recorded.
        """
        async with self._one_at_a_time, acting(self._audit):
            changes = await self._put_in_force()
            if any(changes.values()):
                note("configure", change=True, object_type="configuration", details=self._named(changes))

    async def reload(self) -> bool:
        """As `apply`, but a file with mistakes leaves everything as it was, and the log and the audit trail say what is
        wrong.
        """
        deed = Deed("reload", "configuration", facts=self._named({}))
        try:
            async with self._one_at_a_time, acting(self._audit):
                with deed.recorded() as facts:
                    try:
                        facts |= await self._put_in_force()
                    except DeepAnalyzeError as error:
                        facts["problems"] = _problems(error)
                        raise
        except DeepAnalyzeError as error:
            log.error(
                "the configuration file was not reloaded; what was in force still is",
                file=str(self._file),
                problems=_problems(error),
            )
            return False
        return True

    async def _put_in_force(self) -> dict[str, list[str]]:
        """What was added, changed and removed, by name."""
        declarations = await asyncio.to_thread(read_declarations, self._file, self._registry.connector_class)
        try:
            self._registry.check_declarable(declarations.sources)
        except AlreadyExists as error:
            raise ConfigurationError(error.message) from None
        ids = {source.name: source.id for source in self._registry.stored_sources()}
        ids |= {each.name: each.id for each in declarations.sources}
        users = await self._users.declare(declarations.users, ids)
        sources = await self._registry.declare(declarations.sources)
        changes = _told("users", users) | _told("sources", sources)
        if self._file is not None:
            log.info("configuration file in force", file=str(self._file), **changes)
        return changes

    def _named(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {"file": str(self._file), **changes}


def _told(kind: str, changes: Changes) -> dict[str, list[str]]:
    return {f"{kind}_{how}": names for how, names in asdict(changes).items()}


def _problems(error: DeepAnalyzeError) -> list[str]:
    return [detail["message"] for detail in error.details] or [error.message]
