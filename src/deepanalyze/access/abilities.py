"""How a source that cannot do something says what it holds instead."""

from __future__ import annotations

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.capabilities import SupportsDownload, SupportsExport
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.errors import NotSupported


def unable(connector_class: type[DataSourceConnector], source: StoredSource, wanted: str) -> NotSupported:
    return NotSupported(
        f"source {source.name!r} ({source.type}) {_holds(connector_class)}; it has no {wanted} to ask for"
    )


def _holds(connector_class: type[DataSourceConnector]) -> str:
    if issubclass(connector_class, SupportsExport):
        return "holds tables"
    return "holds files" if issubclass(connector_class, SupportsDownload) else "holds data of its own kind"
