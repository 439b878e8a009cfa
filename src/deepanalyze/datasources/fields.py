"""Fields that configs of several types have."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from deepanalyze.datasources.policy import parse_allowed
from deepanalyze.errors import InvalidRequest


def _networks(value: list[str]) -> list[str]:
    try:
        return list(parse_allowed(value))
    except InvalidRequest as error:
        raise ValueError(error.message) from None


AllowedNetworks = Annotated[list[str], AfterValidator(_networks)]
"""Networks in CIDR notation, addresses and patterns of host names, in their normal form."""
