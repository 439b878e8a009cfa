"""Guiding somebody who describes a source: what is wrong, what is missing, and what to fill in next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.names import check_name
from deepanalyze.datasources.schema import canonical_names, validate_config
from deepanalyze.errors import DeepAnalyzeError, InvalidRequest


@dataclass(frozen=True, slots=True)
class Problem:
    param: str | None
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    valid: bool
    errors: Sequence[Problem]
    missing: Sequence[str]
    next: str


def judge(connector_class: type[DataSourceConnector], name: str | None, config: Mapping[str, Any]) -> Verdict:
    missing = _missing(connector_class, config)
    errors = [*_of_name(name), *_of_config(connector_class, config, missing)]
    return Verdict(not errors and not missing, errors, missing, _next(connector_class, name, errors, missing))


def no_type(known: Sequence[str], error: DeepAnalyzeError | None) -> Verdict:
    message = error.message if error else "which type of source is it? there are: " + ", ".join(known)
    return Verdict(False, [Problem("type", message)], [], message)


def _of_name(name: str | None) -> list[Problem]:
    if name is None:
        return []
    try:
        check_name(name, param="name")
    except InvalidRequest as error:
        return [Problem("name", error.message.removeprefix("name "))]
    return []


def _of_config(
    connector_class: type[DataSourceConnector], config: Mapping[str, Any], missing: Sequence[str]
) -> list[Problem]:
    """What is only missing is not wrong yet."""
    if connector_class.config_model is None:
        return []
    try:
        validate_config(connector_class.config_model, config)
    except InvalidRequest as error:
        absent = {f"config.{name}" for name in missing}
        return [
            Problem(detail["param"], detail["message"], _hint(connector_class, detail["param"]))
            for detail in error.details
            if detail["param"] not in absent
        ]
    return []


def _missing(connector_class: type[DataSourceConnector], config: Mapping[str, Any]) -> list[str]:
    model = connector_class.config_model
    given = canonical_names(model, config)
    fields = model.model_fields if model else {}
    return [name for name, field in fields.items() if field.is_required() and given.get(name) in (None, "")]


def _hint(connector_class: type[DataSourceConnector], param: str) -> str | None:
    model = connector_class.config_model
    field = model.model_fields.get(param.removeprefix("config.")) if model else None
    return field.description if field else None


def _next(
    connector_class: type[DataSourceConnector],
    name: str | None,
    errors: Sequence[Problem],
    missing: Sequence[str],
) -> str:
    if errors:
        return f"{errors[0].param or 'config'} {errors[0].message}"
    if missing:
        return f"fill in config.{missing[0]}: {_hint(connector_class, f'config.{missing[0]}') or 'it is required'}"
    if name is None:
        return "give the source a name"
    return "create it: the connection is tested before anything is stored"
