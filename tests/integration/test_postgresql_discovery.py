"""What a PostgreSQL source holds: listing, the whole schema, what the role or an allow list hides, caching."""

from __future__ import annotations

import json

import psycopg
import pytest

from deepanalyze.datasources import (
    DataSourceConfig,
    DataSourceRegistry,
    InvalidRequest,
    NotFound,
    PostgreSQLConnector,
    TableNotFound,
)
from deepanalyze.datasources.capabilities import SupportsPreview, SupportsSchema, SupportsStatistics
from tests.support.postgres_schemas import FLIGHTS, by_name
from tests.support.postgres_sources import defaults, postgres, run_sql
from tests.support.services import PostgresDatabase


@pytest.fixture
def database(postgres_database: PostgresDatabase) -> PostgresDatabase:
    run_sql(postgres_database.admin_dsn, *FLIGHTS)
    return postgres_database


@pytest.mark.parametrize("ability", [SupportsSchema, SupportsPreview, SupportsStatistics])
def test_the_connector_says_what_it_can_do(postgres_database: PostgresDatabase, ability: type) -> None:
    config = DataSourceConfig("pg", "postgresql", "pg", postgres_database.analyst_config)
    assert isinstance(PostgreSQLConnector(config), ability)


@pytest.mark.requirement("2.2")
async def test_schemas_and_what_the_role_may_read_in_them(database: PostgresDatabase) -> None:
    async with postgres(database.analyst_config) as connector:
        schemas = await connector.list_items()
        relations = await connector.list_items("public")
        everything = [item async for item in connector.iter_items(recursive=True)]
        with pytest.raises(NotFound, match="did you mean public"):
            await connector.list_items("pubic")
    assert [(s.name, s.kind) for s in schemas] == [("public", "schema")]
    assert schemas[0].metadata["relations"] == 4
    assert [(r.path, r.kind) for r in relations] == [
        ("public.flights", "table"),
        ("public.late", "view"),
        ("public.planes", "table"),
        ("public.worst", "materialized_view"),
    ]
    planes = relations[2]
    assert planes.metadata["comment"] == "Every plane"
    assert planes.metadata["estimated_rows"] == 500
    assert planes.size is not None
    assert planes.size > 8192
    assert relations[0].metadata["estimated_rows"] is None  # nobody has counted yet
    assert relations[1].size is None
    assert everything == schemas + relations


ODD = (
    'CREATE SCHEMA "HR"',
    'CREATE TABLE "HR"."Weird "" Table" ("select" int PRIMARY KEY, "a.b" text, "ünï" text, "\'%s" int)',
    'INSERT INTO "HR"."Weird "" Table" VALUES (1, \'x\', \'y\', 2)',
    'CREATE VIEW "HR"."order" AS SELECT 1 AS "?column?"',
    'GRANT USAGE ON SCHEMA "HR" TO analyst',
    'GRANT SELECT ON ALL TABLES IN SCHEMA "HR" TO analyst',
)


async def test_odd_names(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *ODD)
    async with postgres(database.analyst_config) as connector:
        (schema,) = [item for item in await connector.list_items() if item.name == "HR"]
        weird, order = await connector.list_items(schema.path)
        described = await connector.get_metadata(weird.path)
        preview = await connector.preview(weird.path)
        statistics = await connector.statistics(weird.path)
        assert (await connector.preview(order.path)).rows == [[1]]
    assert (schema.path, weird.path, order.path) == ('"HR"', '"HR"."Weird "" Table"', '"HR"."order"')
    names = ["select", "a.b", "ünï", "'%s"]
    assert [c["name"] for c in described["columns"]] == names
    assert [c.name for c in preview.columns] == names
    assert preview.rows == [[1, "x", "y", 2]]
    assert [c.max for c in statistics.columns] == [1, "x", "y", 2]


@pytest.mark.parametrize("path", ["a b", "a.b.c", "'; --", "", "a\x00b", '"a\x00"', '"\ud800"', "x" * 5000])
async def test_what_is_no_path(database: PostgresDatabase, path: str) -> None:
    async with postgres(database.analyst_config) as connector:
        for call in (connector.get_metadata, connector.preview, connector.statistics):
            with pytest.raises((InvalidRequest, TableNotFound)):
                await call(path)
        assert await connector.test_connection()


ACROSS = (
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.orders (id int PRIMARY KEY, tailnum text REFERENCES planes, parent int REFERENCES shop.orders)",
    "CREATE TABLE shop.lines (o int, p text, s int, FOREIGN KEY (p, s) REFERENCES planes (tailnum, seats))",
    "CREATE TABLE shop.hidden (o int REFERENCES shop.orders)",
    "GRANT USAGE ON SCHEMA shop TO analyst",
    "GRANT SELECT ON shop.orders, shop.lines TO analyst",
)


@pytest.mark.requirement("8.2")
async def test_the_whole_schema(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *ACROSS)
    async with postgres(database.analyst_config) as connector:
        schema = await connector.schema()
    assert json.loads(json.dumps(schema)) == schema
    assert [s["name"] for s in schema["schemas"]] == ["public", "shop"]
    public, shop = (by_name(s["relations"]) for s in schema["schemas"])
    assert {name: r["kind"] for name, r in public.items()} == {
        "flights": "table",
        "late": "view",
        "planes": "table",
        "worst": "materialized_view",
    }
    assert list(shop) == ["lines", "orders"]
    planes = public["planes"]
    assert planes["columns"] == [
        {"name": "tailnum", "type": "text", "nullable": False, "comment": None},
        {"name": "seats", "type": "integer", "nullable": True, "comment": None},
    ]
    assert (planes["path"], planes["primary_key"], planes["comment"]) == (
        "public.planes",
        ["tailnum"],
        "Every plane",
    )
    assert planes["estimated_rows"] == 500
    assert planes["size"] > 8192
    assert by_name(public["flights"]["columns"])["delay"]["comment"] == "minutes"
    ends = {r["name"]: (r["from"], r["to"]) for r in schema["relationships"]}
    assert set(ends) == {
        "flights_tailnum_fkey",
        "lines_p_s_fkey",
        "orders_parent_fkey",
        "orders_tailnum_fkey",
    }
    assert ends["lines_p_s_fkey"] == (
        {"schema": "shop", "table": "lines", "columns": ["p", "s"]},
        {"schema": "public", "table": "planes", "columns": ["tailnum", "seats"]},
    )


async def test_an_allow_list_of_schemas_hides_the_others(database: PostgresDatabase) -> None:
    run_sql(database.admin_dsn, *ACROSS)
    async with postgres(database.analyst_config, schemas=["shop"]) as connector:
        items = [item.path async for item in connector.iter_items(recursive=True)]
        schema = await connector.schema()
        orders = await connector.get_metadata("shop.orders")
        for outside in ("public.planes", "planes", "pg_catalog.pg_class", "pg_class"):
            for call in (connector.get_metadata, connector.preview, connector.statistics):
                with pytest.raises(TableNotFound) as caught:
                    await call(outside)
            assert "public." not in str(caught.value).replace(outside, "")
        with pytest.raises(NotFound):
            await connector.list_items("public")
    assert items == ["shop", "shop.lines", "shop.orders"]
    assert [s["name"] for s in schema["schemas"]] == ["shop"]
    assert [r["name"] for r in schema["relationships"]] == ["orders_parent_fkey"]
    assert [key["name"] for key in orders["foreign_keys"]] == ["orders_parent_fkey"]
    async with postgres(database.analyst_config, schemas=["public"]) as connector:
        assert [k["name"] for k in (await connector.get_metadata("planes"))["referenced_by"]] == [
            "flights_tailnum_fkey"
        ]


async def test_a_locked_table_keeps_no_list_waiting(database: PostgresDatabase) -> None:
    with psycopg.connect(database.admin_dsn) as other:
        other.execute("LOCK TABLE planes IN ACCESS EXCLUSIVE MODE")
        async with postgres(database.analyst_config, query_timeout_s=5) as connector:
            items = {item.name: item for item in await connector.list_items("public")}
            schema = await connector.schema()
    assert items["planes"].size is not None
    assert "planes" in by_name(schema["schemas"][0]["relations"])


async def test_an_empty_database(postgres_database: PostgresDatabase) -> None:
    async with postgres(postgres_database.analyst_config) as connector:
        assert await connector.list_items("public") == []
        schema = await connector.schema()
    assert schema == {
        "schemas": [{"name": "public", "comment": "standard public schema", "relations": []}],
        "relationships": [],
    }


@pytest.mark.requirement("8.5")
@pytest.mark.parametrize(("ttl_s", "seen"), [(300, ["flights"]), (0, ["flights", "new"])])
async def test_metadata_are_cached_for_a_configurable_time(
    postgres_database: PostgresDatabase, ttl_s: float, seen: list[str]
) -> None:
    run_sql(postgres_database.admin_dsn, "CREATE TABLE flights (a int)")
    config = DataSourceConfig("pg", "postgresql", "pg", postgres_database.analyst_config)
    async with DataSourceRegistry(defaults=defaults(), metadata_ttl_s=ttl_s) as registry:
        await registry.register_data_source(config)

        async def tables(*, refresh: bool = False) -> list[str]:
            connector = await registry.get_connector("pg")
            assert isinstance(connector, SupportsSchema)
            cached = await registry.metadata.get("pg", "schema", connector.schema, refresh=refresh)
            return [relation["name"] for relation in cached.value["schemas"][0]["relations"]]

        assert await tables() == ["flights"]
        run_sql(postgres_database.admin_dsn, "CREATE TABLE new (a int)")
        assert await tables() == seen
        assert await tables(refresh=True) == ["flights", "new"]
        run_sql(postgres_database.admin_dsn, "DROP TABLE new")
        await registry.unregister_data_source("pg")
        await registry.register_data_source(config)
        assert await tables() == ["flights"]
