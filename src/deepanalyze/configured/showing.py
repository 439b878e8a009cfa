"""What the configuration file declares, as people may see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepanalyze.configured.reading import read_declarations
from deepanalyze.datasources.masking import MASK, sanitize
from deepanalyze.datasources.plugins import ConnectorTypes
from deepanalyze.datasources.schema import merge_secrets, split_secrets


def shown_declarations(path: Path | None) -> dict[str, list[dict[str, Any]]]:
    """Raises ConfigurationError as `read_declarations`."""
    connector_class = ConnectorTypes().connector_class
    declarations = read_declarations(path, connector_class)
    sources = []
    for source in declarations.sources:
        public, secrets = split_secrets(connector_class(source.type).config_model, source.config)
        config = sanitize(merge_secrets(public, dict.fromkeys(secrets, MASK)))
        sources.append({"name": source.name, "type": str(source.type), "config": config, "origin": str(path)})
    users = [
        {
            "name": user.name,
            "role": user.role,
            "grants": [grant.model_dump() for grant in user.grants],
            "api_key": MASK,
            "origin": str(path),
        }
        for user in declarations.users
    ]
    return {"data_sources": sources, "users": users}
