"""What sources hold, over HTTP: descriptions, first rows, statistics, certificates, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg import sql

from deepanalyze.accounts import Grant
from deepanalyze.api.source_schemas import (
    ConnectionTest,
    Metadata,
    SchemaAnswer,
    StatisticsAnswer,
    TableAnswer,
)
from tests.support.answers import error_of
from tests.support.logs import captured_logs
from tests.support.postgres_schemas import FLIGHTS, by_name
from tests.support.postgres_sources import run_sql, superuser_config
from tests.support.registering import register, register_container, register_database
from tests.support.server import ThreadedServer, serving
from tests.support.services import BlobContainer, PostgresDatabase
from tests.support.toysource import PASSWORD

CACHED = ("metadata?path=planes", "schema", "statistics?path=planes")
ABOUT_A_TABLE = ("metadata", "preview", "statistics")


@pytest.fixture
def flights(postgres_database: PostgresDatabase) -> PostgresDatabase:
    run_sql(postgres_database.admin_dsn, *FLIGHTS)
    return postgres_database


@pytest.fixture
def source(admin: httpx.Client, flights: PostgresDatabase, unique: Callable[[str], str]) -> str:
    return register_database(admin, unique("db"), flights)


@pytest.fixture
def lake(admin: httpx.Client, container: BlobContainer, unique: Callable[[str], str]) -> str:
    container.client.upload_blob("sales/2025/ü ☃ 'x'.csv", b"a,b\n1,2\n")
    return register_container(admin, unique("lake"), container)


def of(source: str, rest: str) -> str:
    return f"/v1/data-sources/{source}/{rest}"


def told(client: httpx.Client, source: str, rest: str) -> dict[str, Any]:
    answer = client.get(of(source, rest))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.requirement("2.4")
def test_a_table_is_described_with_its_columns_and_constraints(admin: httpx.Client, source: str) -> None:
    table = told(admin, source, "metadata?path=public.flights")
    Metadata.model_validate(table)
    assert (table["name"], table["path"], table["kind"]) == ("flights", "public.flights", "table")
    assert {"name", "type", "nullable", "default", "comment", "ordinal"} <= set(table["columns"][0])
    columns = by_name(table["columns"])
    assert columns["delay"]["type"] == "numeric(6,2)"
    assert columns["delay"]["comment"] == "minutes"
    assert columns["tailnum"]["nullable"] is False
    assert table["primary_key"]
    assert table["foreign_keys"]
    assert "flights_by_plane" in by_name(table["indexes"])
    for name in ("unique_constraints", "check_constraints", "estimated_rows", "size", "cached_at"):
        assert name in table


@pytest.mark.requirement("8.2")
def test_a_database_is_described_with_tables_views_and_relationships(
    admin: httpx.Client, source: str
) -> None:
    database = told(admin, source, "schema")
    SchemaAnswer.model_validate(database)
    schemas = by_name(database["schemas"])
    assert "hidden" not in schemas
    relations = by_name(schemas["public"]["relations"])
    assert {name: relations[name]["kind"] for name in relations} == {
        "planes": "table",
        "flights": "table",
        "late": "view",
        "worst": "materialized_view",
    }
    assert [column["name"] for column in relations["planes"]["columns"]] == ["tailnum", "seats"]
    [relationship] = database["relationships"]
    assert relationship["from"] == {"schema": "public", "table": "flights", "columns": ["tailnum"]}
    assert relationship["to"] == {"schema": "public", "table": "planes", "columns": ["tailnum"]}


@pytest.mark.requirement("8.3")
def test_a_preview_shows_ten_rows_or_as_many_as_are_asked_for(admin: httpx.Client, source: str) -> None:
    shown = told(admin, source, "preview?path=planes")
    TableAnswer.model_validate(shown)
    assert set(shown) == {"columns", "rows", "truncated"}
    assert shown["columns"] == [{"name": "tailnum", "type": "text"}, {"name": "seats", "type": "integer"}]
    assert (len(shown["rows"]), shown["truncated"]) == (10, True)
    for limit, rows, truncated in ((3, 3, True), (500, 500, False), (1000, 500, False)):
        shown = told(admin, source, f"preview?path=planes&limit={limit}")
        assert (len(shown["rows"]), shown["truncated"]) == (rows, truncated)
    assert told(admin, source, "preview?path=flights")["rows"] == []


@pytest.mark.requirement("8.3")
def test_how_many_rows_a_preview_shows_is_a_setting(flights: PostgresDatabase) -> None:
    with serving(preview_rows=4) as server, server.client() as admin:
        name = register_database(admin, "db", flights)
        assert len(told(admin, name, "preview?path=planes")["rows"]) == 4


@pytest.mark.requirement("8.4")
def test_statistics_tell_of_numbers_what_they_are_like(admin: httpx.Client, source: str) -> None:
    found = told(admin, source, "statistics?path=planes")
    StatisticsAnswer.model_validate(found)
    assert (found["row_count"], found["estimated"]) == (500, False)
    seats = by_name(found["columns"])["seats"]
    assert (seats["type"], seats["count"], seats["nulls"], seats["distinct"]) == ("integer", 500, 0, 500)
    assert (seats["min"], seats["max"], seats["mean"]) == (1, 500, 250.5)
    assert seats["stddev"] == pytest.approx(144.48, abs=0.01)
    assert by_name(found["columns"])["tailnum"]["mean"] is None


@pytest.mark.requirement("8.5")
@pytest.mark.parametrize("rest", CACHED)
def test_what_was_read_is_remembered_until_it_is_asked_for_anew(
    admin: httpx.Client, source: str, flights: PostgresDatabase, rest: str
) -> None:
    first = told(admin, source, rest)
    assert isinstance(first["cached_at"], int)
    run_sql(flights.admin_dsn, "ALTER TABLE planes ADD COLUMN more int")
    assert told(admin, source, rest) == first
    fresh = told(admin, source, f"{rest}{'&' if '?' in rest else '?'}refresh=true")
    assert "more" in str(fresh)
    assert fresh["cached_at"] >= first["cached_at"]
    assert told(admin, source, rest) == fresh


@pytest.mark.requirement("8.5")
def test_how_long_it_is_remembered_is_a_setting(flights: PostgresDatabase) -> None:
    with serving(metadata_ttl_s=0) as server, server.client() as admin:
        name = register_database(admin, "db", flights)
        assert "more" not in str(told(admin, name, "schema"))
        run_sql(flights.admin_dsn, "ALTER TABLE planes ADD COLUMN more int")
        assert "more" in str(told(admin, name, "schema"))


def test_what_a_statement_changed_is_read_again(
    admin: httpx.Client, flights: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    run_sql(flights.admin_dsn, "GRANT DELETE ON planes TO analyst")
    name = register_database(admin, unique("rw"), flights, read_only=False)
    assert told(admin, name, "statistics?path=planes")["row_count"] == 500
    body = {"sql": "DELETE FROM planes WHERE seats > 400"}
    assert admin.post(of(name, "query"), json=body).json()["rows_affected"] == 100
    assert told(admin, name, "statistics?path=planes")["row_count"] == 400


@pytest.mark.parametrize(
    "name", ['Weird "Table"', "ein Wört ☃", "a.b", "x'; DROP TABLE planes; --", "a/b?c=d&e#f%20", "Ü" * 30]
)
def test_names_of_every_kind_lead_to_their_tables(
    admin: httpx.Client, source: str, flights: PostgresDatabase, name: str
) -> None:
    with psycopg.connect(flights.admin_dsn, autocommit=True) as owner:
        owner.execute(
            sql.SQL("CREATE TABLE {} AS SELECT 1 AS {}").format(sql.Identifier(name), sql.Identifier(name))
        )
    [path] = [
        relation["path"]
        for relation in told(admin, source, "schema")["schemas"][0]["relations"]
        if relation["name"] == name
    ]
    for unqualified in (path, path.removeprefix("public.")):
        escaped = quote(unqualified, safe="")
        assert told(admin, source, f"metadata?path={escaped}")["name"] == name
        assert told(admin, source, f"preview?path={escaped}")["rows"] == [[1]]
        assert told(admin, source, f"statistics?path={escaped}")["row_count"] == 1
    assert told(admin, source, "preview?path=planes&limit=1")["rows"]


@pytest.mark.parametrize("route", ABOUT_A_TABLE)
@pytest.mark.parametrize(
    "path",
    ["nothing", "no.such", "hidden.secret", "closed", "planes; DROP TABLE planes", "planes)", "pg_catalog.☃"],
)
def test_what_is_not_there_or_not_for_the_role_is_told(
    admin: httpx.Client, source: str, route: str, path: str
) -> None:
    answer = admin.get(of(source, route), params={"path": path})
    assert answer.status_code in (404, 422), answer.text
    code = "table_not_found" if answer.status_code == 404 else "invalid_request"
    error_of(answer, answer.status_code, code, "path")


@pytest.mark.parametrize("route", ABOUT_A_TABLE)
@pytest.mark.parametrize("path", [None, "", "\x00", 'a"b', "a" * 5000, '"', "a.b.c.d", "."])
def test_what_is_no_path_is_told(admin: httpx.Client, source: str, route: str, path: str | None) -> None:
    answer = admin.get(of(source, route), params={} if path is None else {"path": path})
    assert answer.status_code in (404, 422), answer.text
    assert answer.json()["error"]["param"] == "path"


@pytest.mark.parametrize(
    ("rest", "param"),
    [
        ("preview?path=planes&limit=0", "limit"),
        ("preview?path=planes&limit=1001", "limit"),
        ("preview?path=planes&limit=x", "limit"),
        ("metadata?path=planes&refresh=maybe", "refresh"),
        ("schema?refresh=2", "refresh"),
        ("statistics?path=planes&refresh=", "refresh"),
    ],
)
def test_wrong_parameters_are_told(admin: httpx.Client, source: str, rest: str, param: str) -> None:
    error_of(admin.get(of(source, rest)), 422, "invalid_request", param)


@pytest.mark.parametrize("rest", [*CACHED, "preview?path=planes"])
def test_others_sources_are_not_there(
    admin: httpx.Client,
    ada: httpx.Client,
    bob: httpx.Client,
    source: str,
    flights: PostgresDatabase,
    unique: Callable[[str], str],
    rest: str,
) -> None:
    mine = register_database(ada, unique("mine"), flights)
    assert ada.get(of(mine, rest)).status_code == 200
    error_of(bob.get(of(mine, rest)), 404, "not_found", "source_id")
    error_of(ada.get(of(source, rest)), 404, "not_found", "source_id")
    error_of(admin.get(of(mine, rest)), 403, "permission_denied")


def test_a_blob_is_described_and_the_rest_is_not_for_files(admin: httpx.Client, lake: str) -> None:
    blob = admin.get(of(lake, "metadata"), params={"path": "sales/2025/ü ☃ 'x'.csv"}).json()
    assert (blob["name"], blob["kind"], blob["size"]) == ("ü ☃ 'x'.csv", "blob", 8)
    assert isinstance(blob["cached_at"], int)
    error_of(admin.get(of(lake, "metadata?path=none.csv")), 404, "blob_not_found", "path")
    error = error_of(admin.get(of(lake, "schema")), 400, "not_supported")
    assert "holds files" in error["message"]


@pytest.mark.requirement("8.3")
def test_a_preview_of_a_file_shows_its_first_rows(
    admin: httpx.Client, lake: str, container: BlobContainer
) -> None:
    path = quote("sales/2025/ü ☃ 'x'.csv")
    shown = told(admin, lake, f"preview?path={path}")
    TableAnswer.model_validate(shown)
    columns = [{"name": "a", "type": "BIGINT"}, {"name": "b", "type": "BIGINT"}]
    assert shown == {"columns": columns, "rows": [[1, 2]], "truncated": False}
    container.client.upload_blob("many.jsonl", b"".join(b'{"n":%d,"t":[1,null]}\n' % n for n in range(30)))
    shown = told(admin, lake, "preview?path=many.jsonl")
    assert (len(shown["rows"]), shown["truncated"]) == (10, True)
    assert told(admin, lake, "preview?path=many.jsonl&limit=2")["rows"] == [[0, [1, None]], [1, [1, None]]]


@pytest.mark.requirement("8.4")
def test_statistics_of_a_file_tell_of_numbers_what_they_are_like(
    admin: httpx.Client, lake: str, container: BlobContainer
) -> None:
    container.client.upload_blob("n.csv", b"n,day\n1,2024-01-02\n2.5,2024-01-03\n4,\n")
    found = told(admin, lake, "statistics?path=n.csv")
    StatisticsAnswer.model_validate(found)
    assert (found["row_count"], found["estimated"]) == (3, False)
    numbers, days = by_name(found["columns"])["n"], by_name(found["columns"])["day"]
    assert (numbers["min"], numbers["max"], numbers["mean"], numbers["stddev"]) == (1.0, 4.0, 2.5, 1.5)
    assert (days["type"], days["count"], days["nulls"], days["max"]) == ("DATE", 2, 1, "2024-01-03")
    assert told(admin, lake, "statistics?path=n.csv") == found  # remembered


@pytest.mark.parametrize("route", ["preview", "statistics"])
def test_files_that_cannot_be_shown_are_told(
    admin: httpx.Client, lake: str, container: BlobContainer, route: str
) -> None:
    for name, content in {"a.pdf": b"%PDF-1.7", "a.parquet": b"PAR1", "a.jsonl": b'{"a":1}\n{oops\n'}.items():
        container.client.upload_blob(name, content)
    error = error_of(admin.get(of(lake, f"{route}?path=a.pdf")), 400, "not_supported", "path")
    assert "Parquet" in error["message"]
    for name in ("a.parquet", "a.jsonl"):
        error = error_of(admin.get(of(lake, f"{route}?path={name}")), 422, "invalid_request", "path")
        assert "is not a readable" in error["message"]
    error_of(admin.get(of(lake, f"{route}?path=none.csv")), 404, "blob_not_found", "path")


def test_sources_of_a_plug_in_say_what_they_cannot_do(
    admin: httpx.Client, unique: Callable[[str], str]
) -> None:
    box = register(admin, unique("box"), "toy", {"toys": ["a.csv"], "password": PASSWORD})
    assert told(admin, box, "metadata?path=a.csv").keys() == {"cached_at"}
    for rest in ("schema", "preview?path=a.csv", "statistics?path=a.csv"):
        assert "holds files" in error_of(admin.get(of(box, rest)), 400, "not_supported")["message"]
    error_of(admin.post(of(box, "test?deep=true")), 400, "not_supported")
    assert admin.post(of(box, "test")).json()["certificate"] is None


@pytest.mark.requirement("3.4")
def test_a_deep_test_certifies_what_the_credentials_could_do(
    admin: httpx.Client, source: str, flights: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    result = admin.post(of(source, "test?deep=true")).json()
    ConnectionTest.model_validate(result)
    assert (result["status"], result["error"]) == ("success", None)
    certificate = result["certificate"]
    assert certificate["grade"] in "AB"
    assert "CREATE ROLE" in certificate["script"]
    assert {"check", "allowed", "severity", "evidence", "blocked"} == set(certificate["findings"][0])
    strong = register(admin, unique("strong"), "postgresql", superuser_config(flights))
    assert admin.post(of(strong, "test?deep=true")).json()["certificate"]["grade"] == "D"
    assert admin.post(of(source, "test")).json()["certificate"] is None


def test_a_deep_test_that_cannot_connect_tells_why(
    admin: httpx.Client, flights: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    config = {**flights.analyst_config, "password": "wrong"}
    name = register(admin, unique("wrong"), "postgresql", config, test_connection=False)
    result = admin.post(of(name, "test?deep=true")).json()
    assert (result["status"], result["certificate"]) == ("failure", None)
    assert result["error"]["code"] == "source_authentication_failed"


def test_certificates_are_for_those_who_manage_the_source(
    server: ThreadedServer,
    admin: httpx.Client,
    ada: httpx.Client,
    source: str,
    flights: PostgresDatabase,
    user: Callable[..., str],
    unique: Callable[[str], str],
) -> None:
    id = admin.get(f"/v1/data-sources/{source}").json()["id"]
    with server.client(user([Grant(id, write=True)])) as granted:
        assert granted.post(of(source, "test")).json()["status"] == "success"
        error_of(granted.post(of(source, "test?deep=true")), 403, "permission_denied")
    mine = register_database(ada, unique("mine"), flights)
    assert ada.post(of(mine, "test?deep=true")).json()["certificate"]["grade"]
    error_of(admin.post(of(mine, "test?deep=true")), 403, "permission_denied")


def test_uses_are_logged_by_their_names(admin: httpx.Client, source: str) -> None:
    with captured_logs() as stream:
        for rest in (*CACHED, "preview?path=planes&limit=7"):
            admin.get(of(source, rest))
        admin.post(of(source, "test?deep=true"))
    logs = stream.getvalue()
    assert '"rows": 7, "truncated": true' in logs
    for name in ("metadata", "schema", "statistics", "preview", "certify"):
        assert f'"operation": "{name}"' in logs


def test_every_route_is_described_with_an_example(anonymous: httpx.Client) -> None:
    document = anonymous.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for route, answer in (
        ("metadata", "Metadata"),
        ("schema", "SchemaAnswer"),
        ("preview", "TableAnswer"),
        ("statistics", "StatisticsAnswer"),
    ):
        described = document["paths"][f"/v1/data-sources/{{id}}/{route}"]["get"]["responses"]
        assert described["200"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{answer}")
        assert schemas[answer]["example"]
        assert {"400", "403", "404", "424", "504"} <= set(described)
    query = document["paths"]["/v1/data-sources/{id}/query"]["post"]
    assert set(query["responses"]["200"]["content"]) == {
        "application/json",
        "text/csv",
        "application/vnd.apache.arrow.stream",
    }
    assert schemas["QueryBody"]["example"]
    assert schemas["QueryAnswer"]["example"]
