"""Statistics of columns: exact on small tables, sampled and marked so on large ones, for every type there is."""

from __future__ import annotations

import json
import statistics as reference
from dataclasses import asdict
from functools import partial

import pytest

from deepanalyze.datasources import PostgreSQLConnector, QueryTimeout
from deepanalyze.datasources.capabilities import ColumnStatistics, Statistics
from deepanalyze.datasources.connectors.postgresql.sampling import Bounds
from deepanalyze.datasources.connectors.postgresql.scope import Scope
from deepanalyze.datasources.connectors.postgresql.statistics import statistics
from tests.support.postgres_sources import postgres, run_sql
from tests.support.services import PostgresDatabase

SMALL = Bounds(exact_cells=20_000, sample_cells=40_000)


def by_name(found: Statistics) -> dict[str, ColumnStatistics]:
    assert json.dumps(asdict(found), allow_nan=False)
    return {column.name: column for column in found.columns}


async def bounded(connector: PostgreSQLConnector, path: str, bounds: Bounds = SMALL) -> Statistics:
    async with connector._session.reading() as lease:
        scope = Scope("pg", lease.connection.info.server_version)
        return await lease.in_thread(partial(statistics, path=path, scope=scope, bounds=bounds))


@pytest.mark.requirement("8.4")
async def test_numbers_have_min_max_mean_count(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE numbers AS SELECT n::int2 AS small, n AS medium, n::int8 * 10000000000 AS big, "
        "n / 4.0::float8 AS float, (n / 8.0)::float4 AS short, n * 0.01 AS exact, (n * 0.5)::numeric::money AS price, "
        "CASE WHEN n % 2 = 0 THEN n END AS half FROM generate_series(1, 1000) n",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        found = await connector.statistics("numbers")
    columns = by_name(found)
    assert (found.row_count, found.estimated) == (1000, False)
    for name, factor in {
        "small": 1,
        "medium": 1,
        "big": 1e10,
        "float": 0.25,
        "short": 0.125,
        "exact": 0.01,
    }.items():
        column = columns[name]
        assert (column.count, column.nulls, column.distinct) == (1000, 0, 1000)
        assert (column.min, column.max) == (factor, pytest.approx(1000 * factor))
        assert column.mean == pytest.approx(500.5 * factor)
        assert column.stddev == pytest.approx(reference.stdev(range(1, 1001)) * factor)
    assert columns["medium"].type == "integer"
    half = columns["half"]
    assert (half.count, half.nulls, half.distinct, half.min, half.mean) == (500, 500, 500, 2, 501.0)
    assert (columns["price"].mean, columns["price"].max) == (250.25, "$500.00")


async def test_other_types_have_what_they_can(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
        "CREATE DOMAIN feeling AS mood",
        "CREATE DOMAIN age AS int",
        "CREATE DOMAIN odd AS json",
        "CREATE TYPE pair AS (a int, j json)",
        "CREATE TABLE things (t text, v varchar(9), c char(3), n name, b bool, d date, ts timestamptz, i interval, "
        "tm time, u uuid, m mood, f feeling, a age, net inet, blob bytea, j json, jb jsonb, o odd, p point, "
        "r int4range, ia int[], ja json[], pr pair, pa pair[], iv int2vector, x bit(3), e text)",
        """INSERT INTO things SELECT w, w, w, w, w = 'b', date '2024-01-01' + n,
        timestamptz '2024-01-01Z' + n * '1 h'::interval, n * '1 day'::interval,
        time '10:00' + n * '1 min'::interval, md5(w)::uuid, (enum_range(NULL::mood))[n],
        (enum_range(NULL::mood))[n], n, ('10.0.0.' || n)::inet, 'x', '{}', '{}', '{}', '(1,2)', int4range(1, n + 1),
        ARRAY[n], ARRAY['{}'::json], ROW(1, '{}'::json)::pair, ARRAY[ROW(1, '{}'::json)::pair], '1 2', '101', NULL
        FROM (VALUES (1, 'a'), (2, 'b'), (3, 'b')) v(n, w)""",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        columns = by_name(await connector.statistics("things"))
    extremes = {name: (c.min, c.max) for name, c in columns.items() if c.min is not None}
    assert extremes.pop("ts") is not None  # in the session's time zone
    assert extremes == {
        "t": ("a", "b"),
        "v": ("a", "b"),
        "c": ("a  ", "b  "),
        "n": ("a", "b"),
        "d": ("2024-01-02", "2024-01-04"),
        "i": ("1 day", "3 days"),
        "tm": ("10:01:00", "10:03:00"),
        "m": ("sad", "happy"),
        "f": ("sad", "happy"),
        "a": (1, 3),
        "net": ("10.0.0.1", "10.0.0.3"),
    }
    assert {name for name, c in columns.items() if c.mean is not None} == {"a"}
    assert {name for name, c in columns.items() if c.distinct is None} == {
        "j", "o", "p", "ja", "pr", "pa", "iv",
    }  # fmt: skip
    assert (columns["b"].distinct, columns["u"].distinct, columns["ia"].distinct) == (2, 2, 3)
    assert (columns["j"].count, columns["e"].count, columns["e"].nulls, columns["e"].distinct) == (3, 0, 3, 0)


async def test_numbers_that_are_none_and_numbers_beyond_measure(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE odd (f float8, huge float8, tiny float8, short float4, n numeric, vast numeric, big int8, "
        "nan float8)",
        """INSERT INTO odd VALUES
        (1, 1e308, 1e-320, 'Infinity', 'NaN', ('1' || repeat('0', 90000))::numeric, 9223372036854775807, 'NaN'),
        (3, 1e308, 3e-320, 3e38, 2, 3, 9223372036854775807, 'NaN'),
        ('NaN', -1e308, 0, 1e38, 4, NULL, 9223372036854775807, NULL),
        ('Infinity', 5, 0, 2e38, 'Infinity', NULL, 9223372036854775807, NULL)""",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        columns = by_name(await connector.statistics("odd"))
    f, huge, n = columns["f"], columns["huge"], columns["n"]
    assert (f.min, f.max, f.count, f.mean, f.distinct) == (1.0, "NaN", 4, 2.0, 4)
    assert huge.mean == pytest.approx(1e308 / 4)
    assert huge.stddev == pytest.approx(0.957427e308, rel=1e-3)
    assert (n.min, n.max, n.mean) == (2.0, "NaN", 3.0)
    assert columns["short"].mean == pytest.approx(2e38)
    assert columns["big"].mean == pytest.approx(2**63)
    assert columns["big"].stddev == 0
    assert columns["vast"].max[:2] == "10"
    assert columns["vast"].max[-1] == "…"
    assert (columns["nan"].mean, columns["nan"].stddev, columns["nan"].max) == (None, None, "NaN")


@pytest.mark.parametrize("query", ["SELECT 1 AS a, ''::text AS b WHERE false", "SELECT WHERE false"])
async def test_an_empty_table(postgres_database: PostgresDatabase, query: str) -> None:
    run_sql(postgres_database.admin_dsn, f"CREATE TABLE nothing AS {query}")  # type: ignore[arg-type]
    async with postgres(postgres_database.analyst_config) as connector:
        found = await connector.statistics("nothing")
    assert (found.row_count, found.estimated) == (0, False)
    for column in found.columns:
        assert (column.count, column.nulls, column.distinct) == (0, 0, 0)
        assert (column.min, column.max, column.mean, column.stddev) == (None, None, None, None)


async def test_a_table_of_1600_columns(postgres_database: PostgresDatabase) -> None:
    columns = ", ".join(f"{n} AS c{n}" for n in range(1600))
    run_sql(postgres_database.admin_dsn, f"CREATE TABLE wide AS SELECT {columns}")  # type: ignore[arg-type]
    async with postgres(postgres_database.analyst_config) as connector:
        found = await connector.statistics("wide")
        preview = await connector.preview("wide")
        described = await connector.get_metadata("wide")
    assert [(c.name, c.max, c.mean) for c in found.columns] == [(f"c{n}", n, n) for n in range(1600)]
    assert preview.rows == [list(range(1600))]
    assert len(described["columns"]) == 1600


LARGE = (
    "CREATE TABLE large AS SELECT n AS id, n % 7 AS few, CASE WHEN n % 2 = 0 THEN 'x' || n END AS half "
    "FROM generate_series(1, 100000) n"
)


@pytest.mark.parametrize("analyzed", [True, False])
async def test_a_large_table_is_sampled_and_scaled(
    postgres_database: PostgresDatabase, analyzed: bool
) -> None:
    run_sql(postgres_database.admin_dsn, LARGE, *(["ANALYZE large"] if analyzed else []))
    async with postgres(postgres_database.analyst_config) as connector:
        found = await bounded(connector, "large")
        whole = await connector.statistics("large")
    assert (whole.row_count, whole.estimated) == (100_000, False)
    assert found.estimated
    assert found.row_count == pytest.approx(100_000, rel=0.25)
    assert found.row_count != 100_000
    columns = by_name(found)
    assert columns["id"].count == found.row_count
    assert columns["id"].distinct == pytest.approx(found.row_count, rel=0.05)
    assert columns["few"].distinct == 7
    assert columns["few"].mean == pytest.approx(3, rel=0.05)
    half = columns["half"]
    assert half.count + half.nulls == found.row_count
    assert half.count == pytest.approx(found.row_count / 2, rel=0.05)
    assert half.distinct == pytest.approx(half.count, rel=0.2)


async def test_a_sample_is_the_same_again(postgres_database: PostgresDatabase) -> None:
    run_sql(postgres_database.admin_dsn, LARGE)
    async with postgres(postgres_database.analyst_config) as connector:
        assert await bounded(connector, "large") == await bounded(connector, "large")


async def test_the_size_in_bytes_counts_too(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE fat (n int, t text)",
        "ALTER TABLE fat ALTER t SET STORAGE EXTERNAL",
        "INSERT INTO fat SELECT n, repeat('x', 8000) FROM generate_series(1, 500) n",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        assert (await bounded(connector, "fat", Bounds(exact_bytes=10**6, sample_bytes=10**5))).estimated
        assert not (await bounded(connector, "fat", Bounds(exact_bytes=10**8))).estimated


async def test_partitioned_tables_are_sampled_as_one(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE parts (n int, part int) PARTITION BY LIST (part)",
        "CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1)",
        "INSERT INTO parts SELECT n, n % 2 FROM generate_series(1, 60000) n",
        "ANALYZE parts",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        sampled = await bounded(connector, "parts")
        whole = await connector.statistics("parts")
    assert sampled.estimated
    assert sampled.row_count == pytest.approx(60_000, rel=0.25)
    assert by_name(sampled)["part"].distinct == 2
    assert (whole.row_count, by_name(whole)["n"].distinct) == (60_000, 60_000)


async def test_of_a_large_view_the_first_rows_are_taken(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        LARGE,
        "ANALYZE large",
        "CREATE VIEW everything AS SELECT * FROM large",
        "CREATE VIEW a_few AS SELECT * FROM large WHERE id % 100 = 0",
        "CREATE VIEW surprise AS SELECT generate_series(1, few * 100000) AS n, id FROM large WHERE id = 3",
    )
    async with postgres(postgres_database.analyst_config) as connector:
        everything = await bounded(connector, "everything")
        few = await bounded(connector, "a_few")
        surprise = await bounded(connector, "surprise")
    assert (everything.row_count, everything.estimated) == (100_000, True)
    assert by_name(everything)["few"].distinct == 7
    assert by_name(everything)["half"].nulls == pytest.approx(50_000, rel=0.01)
    assert (few.row_count, few.estimated) == (1_000, False)
    assert surprise.estimated  # the planner thought of a thousand rows
    assert surprise.row_count >= 10_000


async def test_statistics_that_take_too_long_are_stopped(postgres_database: PostgresDatabase) -> None:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE VIEW slow AS SELECT count(*) FROM generate_series(1, 1000000000000)",
    )
    async with postgres(postgres_database.analyst_config, query_timeout_s=1) as connector:
        with pytest.raises(QueryTimeout):
            await connector.statistics("slow")
        assert await connector.test_connection()
