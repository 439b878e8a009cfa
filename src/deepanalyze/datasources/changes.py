"""Changing a source: what is left out stays as it is, secrets above all, since nobody can read them to send them
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deepanalyze.datasources.base import DataSourceConnector
from deepanalyze.datasources.masking import MASK
from deepanalyze.datasources.repository import StoredSource
from deepanalyze.datasources.schema import canonical_names
from deepanalyze.errors import Stale


@dataclass(frozen=True, slots=True)
class SourceChange:
    """`None` leaves as it is. In `config` only what changes is named: None takes a field away, and a masked value is
    what an answer of ours showed in place of a secret, so it changes nothing.
    """

    name: str | None = None
    config: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    test_connection: bool = True


def changed_config(
    connector_class: type[DataSourceConnector], known: Mapping[str, Any], change: Mapping[str, Any]
) -> dict[str, Any]:
    whole = dict(known)
    for name, value in canonical_names(connector_class.config_model, change).items():
        if value == MASK:
            continue
        if value is None:
            whole.pop(name, None)
        else:
            whole[name] = value
    return whole


def check_version(known: StoredSource, expected: int | None) -> None:
    if expected is not None and expected != known.version:
        raise Stale(
            f"the data source {known.name!r} was changed meanwhile (version {known.version}, not {expected}); read it "
            "again and repeat the change"
        )
