"""The settings as people read them: the reference page and `config show` come from here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from deepanalyze.datasources.masking import MASK, sanitize
from deepanalyze.settings.fields import ENV_PREFIX, Settings


@dataclass(frozen=True, slots=True)
class SettingRow:
    name: str  # in the file and, with dashes, as a flag
    variable: str  # of the environment
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """`value` is masked where it is a secret; `origin` is a flag, a variable, a file's path or `default`."""

    name: str
    value: Any
    origin: str


def settings_reference() -> Iterator[SettingRow]:
    for name, field in Settings.model_fields.items():
        yield SettingRow(name, ENV_PREFIX + name.upper(), _default(name, field), field.description or "")


def effective_settings(settings: Settings) -> Iterator[EffectiveSetting]:
    for name in Settings.model_fields:
        origin = settings._origins.get(name, "given" if name in settings.model_fields_set else "default")
        yield EffectiveSetting(name, _shown(getattr(settings, name)), origin)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    if isinstance(value, BaseModel):
        return {name: _shown(each) for name, each in value}
    if isinstance(value, dict):
        return sanitize(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _default(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    if field.default is None or field.default == ():
        return "none"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if name.endswith("_bytes"):
        return _size(field.default)
    return str(field.default)


def _size(number: int) -> str:
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if number % size == 0:
            return f"{number // size} {unit}"
    return f"{number} bytes"
