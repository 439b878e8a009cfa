"""A year of flights from New York City: tables in PostgreSQL, weather files in a blob container.

The two join on the airport and the hour, so that a question can need both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
from azure.core.exceptions import AzureError

from deepanalyze.devservices.sampledata.dataset import OnProgress
from deepanalyze.devservices.sampledata.flights import DATABASE, load_flights
from deepanalyze.devservices.sampledata.weather import CONTAINER, load_weather
from deepanalyze.devservices.services import Services
from deepanalyze.errors import StartupError

__all__ = ["OnProgress", "SampleData", "load_sample_data"]


@dataclass(frozen=True, slots=True)
class SampleData:
    """Where it is, as the `config` of a `postgresql` and of an `azure_blob` data source."""

    postgres_config: dict[str, str | int] = field(repr=False)
    blob_config: dict[str, str] = field(repr=False)


async def load_sample_data(services: Services, on_progress: OnProgress = lambda *_: None) -> SampleData:
    """Loads what is not there yet, and reports progress on that alone. Can be repeated after any interruption."""
    try:
        await load_flights(services.postgres, on_progress)
        await load_weather(services.azurite, on_progress)
    except (psycopg.Error, AzureError, OSError) as error:
        raise StartupError(f"the sample data could not be loaded: {error}") from error
    return SampleData(
        postgres_config=services.postgres.analyst_config(DATABASE),
        blob_config={
            "connection_string": services.azurite.connection_string,
            "container_name": CONTAINER,
        },
    )
