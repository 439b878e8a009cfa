"""What a type of source needs to know, for forms, prompts and documentation: all from the connector's own class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepanalyze.datasources.base import DataSourceConnector


@dataclass(frozen=True, slots=True)
class Template:
    """`schema` is the JSON Schema of the config: secrets are `writeOnly`, required fields are listed."""

    type: str
    title: str
    description: str
    schema: Mapping[str, Any]
    examples: Sequence[Mapping[str, Any]]
    sample_queries: Sequence[Mapping[str, str]]
    path_patterns: Sequence[Mapping[str, str]]


def template_of(type_name: str, connector_class: type[DataSourceConnector]) -> Template:
    model = connector_class.config_model
    return Template(
        type=type_name,
        title=connector_class.title or type_name,
        description=connector_class.description,
        schema=model.model_json_schema() if model else {"type": "object"},
        examples=connector_class.examples,
        sample_queries=connector_class.sample_queries,
        path_patterns=connector_class.path_patterns,
    )
