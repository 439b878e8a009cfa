"""From the configuration file to what it declares, with everything that is wrong told at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from deepanalyze.accounts import Role, check_user_name
from deepanalyze.configured.references import expand, has_reference, read_secret_file
from deepanalyze.configured.tables import GrantTable, SourceTable, UserTable, problems
from deepanalyze.datasources.base import DataSourceConfig, DataSourceConnector
from deepanalyze.datasources.declared import declared_id
from deepanalyze.datasources.names import check_name
from deepanalyze.datasources.schema import split_secrets
from deepanalyze.errors import DeepAnalyzeError
from deepanalyze.settings import MIN_CONFIGURED_KEY_LENGTH, configuration_error, read_config_file

M = TypeVar("M", bound=BaseModel)
ConnectorClass = Callable[[str], type[DataSourceConnector]]  # of a source type


@dataclass(frozen=True, slots=True)
class DeclaredUser:
    name: str
    role: Role
    grants: tuple[GrantTable, ...]
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Declarations:
    sources: tuple[DataSourceConfig, ...] = ()
    users: tuple[DeclaredUser, ...] = ()


def read_declarations(
    path: Path | None, connector_class: ConnectorClass, environ: Mapping[str, str] | None = None
) -> Declarations:
    """Reads, expands and validates; connects to nothing. Raises ConfigurationError with an entry for each problem."""
    if path is None:
        return Declarations()
    reader = _Reader(path, connector_class, os.environ if environ is None else environ)
    values = read_config_file(path)
    sources = [reader.source(n, table) for n, table in reader.tables(values, "data_sources")]
    users = [reader.user(n, table) for n, table in reader.tables(values, "users")]
    declarations = Declarations(tuple(s for s in sources if s), tuple(u for u in users if u))
    reader.check_unique("data_sources", (s.name for s in declarations.sources))
    reader.check_unique("users", (u.name.lower() for u in declarations.users))
    reader.check_keys(declarations.users)
    if reader.problems:
        raise configuration_error(reader.problems)
    return declarations


class _Reader:
    def __init__(self, path: Path, connector_class: ConnectorClass, environ: Mapping[str, str]) -> None:
        self._path = path
        self._connector_class = connector_class
        self._environ = environ
        self.problems: list[tuple[str, str]] = []  # (place, message)

    def tables(self, values: Mapping[str, Any], name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        found = values.get(name, [])
        if isinstance(found, list) and all(isinstance(table, Mapping) for table in found):
            return [(f"{name}[{number}]", table) for number, table in enumerate(found)]
        self._tell(name, "", f"must be tables, each under [[{name}]]")
        return []

    def source(self, place: str, values: Mapping[str, Any]) -> DataSourceConfig | None:
        table = self._table(SourceTable, place, values)
        if table is None:
            return None
        before = len(self.problems)
        place = f"{place} ({table.name})"
        self._try(place, lambda: check_name(table.name))
        named = len(self.problems)
        config = expand(table.config, self._environ, lambda at, why: self._tell(place, at, why), "config")
        if len(self.problems) == named:  # a text that is still a reference says nothing about its field
            self._check_config(place, table, config)
        if len(self.problems) > before:
            return None
        return DataSourceConfig(declared_id(table.name), table.type, table.name, config, dict(table.metadata))

    def _check_config(self, place: str, table: SourceTable, config: Mapping[str, Any]) -> None:
        try:
            _, secrets = split_secrets(self._connector_class(table.type).config_model, config)
        except DeepAnalyzeError as error:
            for detail in error.details or [{"param": error.param or "", "message": error.message}]:
                self._tell(place, detail["param"], detail["message"])
            return
        literal = dict(_literals(table.config, ()))
        for path in secrets.keys() & literal.keys():
            self._tell(
                place,
                f"config.{path}",
                "a secret may not stand in the file; write a reference, ${env:NAME} or ${file:/path}",
            )

    def user(self, place: str, values: Mapping[str, Any]) -> DeclaredUser | None:
        table = self._table(UserTable, place, values)
        if table is None:
            return None
        before = len(self.problems)
        place = f"{place} ({table.name})"
        self._try(place, lambda: check_user_name(table.name))
        key = self._key(place, table)
        if len(self.problems) > before:
            return None
        return DeclaredUser(table.name, table.role, table.grants, key)

    def _key(self, place: str, table: UserTable) -> str:
        """Empty when something was wrong with it, which has been told then."""
        before = len(self.problems)
        if table.api_key_file is not None:
            at, key = "api_key_file", self._key_of_file(place, table.api_key_file)
        else:
            at, key = "api_key", self._key_of_reference(place, table)
        if len(self.problems) == before and len(key) < MIN_CONFIGURED_KEY_LENGTH:
            self._tell(place, at, f"a key has at least {MIN_CONFIGURED_KEY_LENGTH} characters")
        return key if len(self.problems) == before else ""

    def _key_of_file(self, place: str, path: str) -> str:
        try:
            return read_secret_file(path).strip()
        except LookupError as error:
            self._tell(place, "api_key_file", f"{path}: {error.args[0]}")
            return ""

    def _key_of_reference(self, place: str, table: UserTable) -> str:
        text = table.api_key.get_secret_value() if table.api_key is not None else ""
        if not has_reference(text):
            self._tell(
                place,
                "api_key",
                "a key may not stand in the file; write a reference, ${env:NAME}, or use api_key_file",
            )
            return ""
        key = expand(text, self._environ, lambda at, why: self._tell(place, at, why), "api_key")
        return str(key).strip()

    def check_unique(self, name: str, labels: Iterable[str]) -> None:
        seen: set[str] = set()
        for label in labels:
            if label in seen:
                self._tell(name, "", f"the name {label!r} is declared twice")
            seen.add(label)

    def check_keys(self, users: Iterable[DeclaredUser]) -> None:
        owners: dict[str, str] = {}
        for user in users:
            if (other := owners.setdefault(user.api_key, user.name)) != user.name:
                self._tell("users", "", f"{other!r} and {user.name!r} have the same API key")

    def _table(self, model: type[M], place: str, values: Mapping[str, Any]) -> M | None:
        name = values.get("name")
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            shown = f"{place} ({name})" if isinstance(name, str) else place
            for at, why in problems(model, error):
                self._tell(shown, at, why)
            return None

    def _try(self, place: str, check: Any) -> None:
        try:
            check()
        except DeepAnalyzeError as error:
            self._tell(place, "", error.message)

    def _tell(self, place: str, at: str, why: str) -> None:
        where = f"{place} in {self._path}: " + (f"{at}: " if at else "")
        self.problems.append((f"{place.split(' ')[0]}{'.' if at else ''}{at}", where + why))


def _literals(value: Any, above: tuple[str, ...]) -> Iterable[tuple[str, Any]]:
    """The texts that hold no reference, by their dotted path."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _literals(each, (*above, str(key)))
    elif isinstance(value, str) and value and not has_reference(value):
        yield ".".join(above), value
