"""All of the configuration at once: the settings, and what the file declares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepanalyze.configured.reading import read_declarations
from deepanalyze.datasources.credentials import CredentialManager
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.errors import ConfigurationError
from deepanalyze.settings import Settings, configuration_error, find_config_file, load_settings


def load_configuration(
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """As `load_settings`, but what is wrong with the declared sources and users, or with the encryption keys, is told
    in the same error.
    """
    problems: dict[tuple[str, str], None] = {}  # a file that cannot be read is found twice and told once
    settings = None
    try:
        settings = load_settings(flags, config_file, environ=environ)
        if settings.encryption_key is not None:
            CredentialManager(settings.encryption_key.get_secret_value())
    except ConfigurationError as error:
        problems |= _entries(error, "encryption_key")
    try:
        read_declarations(config_file or find_config_file(), ConnectorTypes().connector_class, environ)
    except ConfigurationError as error:
        problems |= _entries(error, "config")
    if problems or settings is None:
        raise configuration_error(list(problems))
    return settings


def _entries(error: ConfigurationError, otherwise: str) -> dict[tuple[str, str], None]:
    details = error.details or [{"param": otherwise, "message": error.message}]
    return {(str(detail["param"]), str(detail["message"])): None for detail in details}
