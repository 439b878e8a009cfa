"""The sample data: what is loaded, that it is true to its source, and that a load can be cut short."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import ContainerClient

from deepanalyze.devservices import Services, open_services
from deepanalyze.devservices.postgres import PostgresServer
from deepanalyze.devservices.sampledata import SampleData, load_sample_data
from deepanalyze.devservices.sampledata.dataset import read_rows

ROWS = {"flights": 336_776, "airlines": 16, "airports": 1_458, "planes": 3_322}


@pytest.fixture
def database(sample_data: SampleData) -> Iterator[psycopg.Connection]:
    """As the analyst, with exactly what a data source would get."""
    config = sample_data.postgres_config
    with psycopg.connect(
        host=str(config["host"]),
        port=int(config["port"]),
        dbname=str(config["database"]),
        user=str(config["user"]),
        password=str(config["password"]),
    ) as connection:
        yield connection


@pytest.fixture
def weather(sample_data: SampleData) -> Iterator[ContainerClient]:
    config = sample_data.blob_config
    with ContainerClient.from_connection_string(
        config["connection_string"], config["container_name"]
    ) as container:
        yield container


@pytest.mark.parametrize("table", ROWS)
def test_every_row_is_there(database: psycopg.Connection, table: str) -> None:
    assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (ROWS[table],)  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["airlines", "airports", "planes"])
def test_every_value_is_that_of_the_source(database: psycopg.Connection, table: str) -> None:
    expected = list(read_rows(table))
    found = database.execute(f"SELECT * FROM {table}")  # type: ignore[arg-type]
    assert found.description is not None
    assert [column.name for column in found.description] == expected[0]
    for row, line in zip(found.fetchall(), expected[1:], strict=True):
        for value, text in zip(row, line, strict=True):
            assert (value is None) == (text == "NA")
            assert value is None or str(value) == text or float(value) == float(text)


def test_missing_values_of_flights_are_null(database: psycopg.Connection) -> None:
    row = database.execute(
        "SELECT count(*) - count(dep_delay), count(*) - count(arr_delay), count(*) - count(tailnum), "
        "       min(time_hour) = '2013-01-01T10:00:00Z', sum(dep_delay) FROM flights"
    ).fetchone()
    assert row == (8_255, 9_430, 2_512, True, 4_152_200)


def test_keys_hold_for_every_row(database: psycopg.Connection) -> None:
    constraints = database.execute(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid), convalidated FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') ORDER BY 1, 2"
    ).fetchall()
    assert constraints == [
        ("airlines", "PRIMARY KEY (carrier)", True),
        ("airports", "PRIMARY KEY (faa)", True),
        ("flights", "FOREIGN KEY (carrier) REFERENCES airlines(carrier)", True),
        ("flights", "FOREIGN KEY (origin) REFERENCES airports(faa)", True),
        ("flights", "PRIMARY KEY (time_hour, carrier, flight)", True),
        ("planes", "PRIMARY KEY (tailnum)", True),
    ]


def test_what_the_comments_say_of_missing_rows_is_true(database: psycopg.Connection) -> None:
    lacking = database.execute(
        "SELECT DISTINCT dest FROM flights EXCEPT SELECT faa FROM airports ORDER BY 1"
    ).fetchall()
    assert [code for (code,) in lacking] == ["BQN", "PSE", "SJU", "STT"]
    share = database.execute(
        "SELECT avg((p.tailnum IS NULL)::int) FROM flights LEFT JOIN planes p USING (tailnum)"
    ).fetchone()
    assert share is not None
    assert 1 / 7 < share[0] < 1 / 5


def test_every_table_and_column_has_a_comment(database: psycopg.Connection) -> None:
    bare = database.execute(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT attisdropped "
        "WHERE c.relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 "
        "AND (col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)"
    ).fetchall()
    assert bare == []


def test_statistics_are_up_to_date(database: psycopg.Connection) -> None:
    estimates = database.execute(
        "SELECT relname, reltuples FROM pg_class WHERE relname = ANY(%s)", [list(ROWS)]
    )
    assert dict(estimates.fetchall()) == ROWS


def test_weather_is_one_file_for_each_month(weather: ContainerClient) -> None:
    names = sorted(weather.list_blob_names())
    assert names == [f"weather/2013/{month:02}.csv" for month in range(1, 13)]
    header, *expected = read_rows("weather")
    found = []
    for month, name in enumerate(names, 1):
        first, *rows = csv.reader(io.StringIO(weather.download_blob(name, encoding="utf-8").readall()))
        assert first == header
        assert {row[header.index("month")] for row in rows} == {str(month)}
        found += rows
    assert len(found) == 26_115
    assert sorted(found) == sorted(["" if value == "NA" else value for value in row] for row in expected)


class Interrupted(Exception):
    pass


def interrupt_halfway_through_flights(what: str, done: int, total: int) -> None:
    if what == "flights" and done > total / 2:
        raise Interrupted


async def test_a_load_that_was_cut_short_is_done_again_and_a_whole_one_is_left_alone(tmp_path: Path) -> None:
    async with open_services(tmp_path, durable=False) as services:
        with pytest.raises(Interrupted):
            await load_sample_data(services, interrupt_halfway_through_flights)
        assert tables(services.postgres) == 0
        seen: list[str] = []
        await load_sample_data(services, lambda what, done, total: seen.append(what))
        assert tables(services.postgres) == len(ROWS)
        assert {"flights", "keys", "weather"} <= set(seen)

        await damage_weather(services)
        seen.clear()
        sample = await load_sample_data(services, lambda what, done, total: seen.append(what))
        assert seen == ["weather", "weather"]  # the two files that were not as they should be
        seen.clear()
        assert await load_sample_data(services, lambda what, done, total: seen.append(what)) == sample
        assert seen == []


def tables(server: PostgresServer) -> int:
    with psycopg.connect(server.dsn("flights")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row is not None
    return int(row[0])


async def damage_weather(services: Services) -> None:
    string = services.azurite.connection_string
    with ContainerClient.from_connection_string(string, "weather-data") as container:
        container.delete_blob("weather/2013/02.csv")
        container.upload_blob("weather/2013/03.csv", b"half", overwrite=True)
