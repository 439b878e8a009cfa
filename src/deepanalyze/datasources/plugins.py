"""The source types that this installation knows, found by the entry points of the group `deepanalyze.connectors`."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.errors import ConfigurationError, InvalidRequest

GROUP = "deepanalyze.connectors"


class ConnectorTypes:
    """Types by name; a plug-in is only imported when its type is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, EntryPoint] = {entry.name: entry for entry in entry_points(group=GROUP)}
        self._classes: dict[str, type[DataSourceConnector]] = {}

    def register(self, type_name: str, connector_class: type[DataSourceConnector]) -> None:
        if not (isinstance(connector_class, type) and issubclass(connector_class, DataSourceConnector)):
            raise InvalidRequest(
                f"{connector_class!r} is not a subclass of DataSourceConnector", param="type"
            )
        self._classes[str(type_name)] = connector_class

    def names(self) -> list[str]:
        return sorted(self._found.keys() | self._classes.keys())

    def connector_class(self, type_name: str) -> type[DataSourceConnector]:
        type_name = str(type_name)
        if type_name not in self._classes:
            self._classes[type_name] = self._load(type_name)
        return self._classes[type_name]

    def _load(self, type_name: str) -> type[DataSourceConnector]:
        entry = self._found.get(type_name)
        if entry is None:
            close = difflib.get_close_matches(type_name, self.names(), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(self.names())}"
            raise InvalidRequest(f"there is no data source type {type_name!r}; {hint}", param="type")
        try:
            loaded = entry.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"the connector for {type_name!r} ({entry.value}) cannot be imported: {error}"
            ) from error
        if not (isinstance(loaded, type) and issubclass(loaded, DataSourceConnector)):
            raise ConfigurationError(
                f"the entry point {entry.value} of {type_name!r} is not a DataSourceConnector"
            )
        return loaded
