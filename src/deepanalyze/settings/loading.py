"""Reading the settings: flags over environment over secret files over `deepanalyze.toml` over defaults."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from deepanalyze.errors import ConfigurationError
from deepanalyze.settings.fields import CLIENT_VARIABLES, ENV_PREFIX, ModelConfig, Settings

CONFIG_FILE_NAME = "deepanalyze.toml"
SECRETS = tuple(n for n, f in Settings.model_fields.items() if f.annotation == SecretStr | None)
# Tables of the file that are no settings; see `deepanalyze.configured`.
DECLARATIONS = ("data_sources", "users")
_SHOWN_INPUT_TYPES = (str, int, float, bool)
_NEVER_SHOWN = {*SECRETS, "api_key", "headers", "base_url", "model_base_url", "public_url"}


@dataclass(slots=True)
class _Layers:
    """What has been read so far; the first layer that names a setting wins."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)  # (setting, message)
    file: Path | None = None

    def offer(self, name: str, value: Any, origin: str) -> None:
        if name not in self.values:
            self.values[name] = value
            self.origins[name] = origin


def load_settings(
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Reads every layer. A flag that is None counts as not given.

    Raises ConfigurationError that names everything wrong at once, with one entry in `details` for each.
    """
    layers = _Layers()
    _read_flags(layers, flags or {})
    environment = os.environ if environ is None else environ
    _read_environment(layers, environment)
    _read_secret_files(layers, environment)
    _read_config_file(layers, config_file)
    try:
        settings = Settings(**layers.values)
    except ValidationError as error:
        layers.problems += [_explain(e, layers.origins) for e in error.errors()]
    if layers.problems:
        raise configuration_error(layers.problems)
    settings._origins = dict(layers.origins)
    settings._config_file = layers.file.absolute() if layers.file else None
    return settings


def find_config_file() -> Path | None:
    """The file that is read when no `--config` names one."""
    candidates = (Path(CONFIG_FILE_NAME), platformdirs.user_config_path("deepanalyze") / CONFIG_FILE_NAME)
    return next((c for c in candidates if c.is_file()), None)


def _read_flags(layers: _Layers, flags: Mapping[str, Any]) -> None:
    for name, value in flags.items():
        if value is None:
            continue
        origin = f"--{name.replace('_', '-')}"
        if name in Settings.model_fields:
            layers.offer(name, value, origin)
        else:
            layers.problems.append(
                (name, f"{origin}: no such setting{_nearest(name, Settings.model_fields)}")
            )


def _read_environment(layers: _Layers, environ: Mapping[str, str]) -> None:
    secret_files = {f"{s}_file" for s in SECRETS}
    for variable in sorted(v for v in environ if v.startswith(ENV_PREFIX) and v not in CLIENT_VARIABLES):
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable != ENV_PREFIX + name.upper() or name not in {*Settings.model_fields, *secret_files}:
            known = [ENV_PREFIX + n.upper() for n in (*Settings.model_fields, *secret_files)] + [
                *CLIENT_VARIABLES
            ]
            layers.problems.append((name, f"{variable}: no such setting{_nearest(variable, known)}"))
        elif name in Settings.model_fields and environ[variable] != "":
            _offer_text(layers, name, environ[variable], variable)


def _offer_text(layers: _Layers, name: str, text: str, origin: str) -> None:
    if name != "models":
        layers.offer(name, text, origin)
        return
    try:
        layers.offer(name, json.loads(text), origin)
    except json.JSONDecodeError as error:
        layers.problems.append((name, f"{origin}: must be a JSON list of models: {error.msg}"))


def _read_secret_files(layers: _Layers, environ: Mapping[str, str]) -> None:
    for name in SECRETS:
        variable = f"{ENV_PREFIX}{name.upper()}_FILE"
        path = environ.get(variable)
        if not path:
            continue
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            layers.problems.append((name, f"{variable}: cannot read {path}: {reason}"))
            continue
        if text:
            layers.offer(name, text, variable)
        else:
            layers.problems.append((name, f"{variable}: {path} is empty"))


def _read_config_file(layers: _Layers, config_file: Path | None) -> None:
    path = config_file or find_config_file()
    if path is None:
        return
    try:
        values = read_config_file(path)
    except ConfigurationError as error:
        layers.problems.append(("config", error.message))
        return
    layers.file = path
    for name, value in values.items():
        if name in Settings.model_fields:
            layers.offer(name, value, str(path))
        elif name not in DECLARATIONS:
            nearest = _nearest(name, (*Settings.model_fields, *DECLARATIONS))
            layers.problems.append((name, f"{name} in {path}: no such setting{nearest}"))


def read_config_file(path: Path) -> dict[str, Any]:
    """Its tables and values, as they stand there. Raises ConfigurationError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _explain(error: ErrorDetails, origins: Mapping[str, str]) -> tuple[str, str]:
    location = ".".join(str(part) for part in error["loc"])
    name = str(error["loc"][0]) if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "no such setting" + _nearest(str(error["loc"][-1]), ModelConfig.model_fields)
    elif (
        name
        and isinstance(error["input"], _SHOWN_INPUT_TYPES)
        and _NEVER_SHOWN.isdisjoint(map(str, error["loc"]))
    ):
        message += f", not {error['input']!r}"
    return location, f"{_where(name, location, origins)}{message[:1].lower()}{message[1:]}"


def _where(name: str, location: str, origins: Mapping[str, str]) -> str:
    origin = origins.get(name, "")
    if not name:
        return ""
    if origin.startswith((ENV_PREFIX, "--")):
        return f"{origin}{location.removeprefix(name)}: "
    return f"{location} in {origin}: " if origin else f"{location}: "


def configuration_error(problems: list[tuple[str, str]]) -> ConfigurationError:
    """One error for all problems, each the setting and a message."""
    messages = [message for _, message in problems]
    if len(messages) == 1:
        text = messages[0]
    else:
        text = f"{len(messages)} settings are wrong:\n" + "\n".join(f"  {m}" for m in messages)
    return ConfigurationError(text, details=[{"param": p, "message": m} for p, m in problems])
