"""SQL over HTTP: JSON, CSV and Arrow, what is refused, and that nothing outlives its request."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from deepanalyze.accounts import Grant
from deepanalyze.api.source_schemas import QueryAnswer
from deepanalyze.datadir import DataDir
from tests.support.answers import error_of
from tests.support.logs import captured_logs
from tests.support.postgres_sources import run_sql
from tests.support.registering import register, register_container, register_database
from tests.support.server import NO_TLS, ThreadedServer, bearer
from tests.support.services import BlobContainer, PostgresDatabase
from tests.support.toysource import PASSWORD

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) /* endless */"
STREAMING = "SELECT md5(generate_series(1, 1000000000)::text) /* endless */"  # gives rows at once

Ask = Callable[..., httpx.Response]


@pytest.fixture
def orders(postgres_database: PostgresDatabase) -> PostgresDatabase:
    run_sql(
        postgres_database.admin_dsn,
        "CREATE TABLE orders (id int PRIMARY KEY, item text, price numeric(12,4), paid bool, placed timestamptz)",
        "INSERT INTO orders SELECT n, nullif('item ' || n, 'item 3'), n * 1.25, n % 2 = 0, "
        "'2025-01-01T00:00Z'::timestamptz + n * interval '1 day' FROM generate_series(1, 40) n",
    )
    return postgres_database


@pytest.fixture
def source(admin: httpx.Client, orders: PostgresDatabase, unique: Callable[[str], str]) -> str:
    return register_database(admin, unique("db"), orders)


@pytest.fixture
def ask(admin: httpx.Client, source: str) -> Ask:
    def post(
        sql: str, accept: str | None = None, *, client: httpx.Client | None = None, **more: Any
    ) -> httpx.Response:
        headers = {} if accept is None else {"Accept": accept}
        name = more.pop("source", source)
        body = {"sql": sql, **more}
        return (client or admin).post(f"/v1/data-sources/{name}/query", json=body, headers=headers)

    return post


def exports(server: ThreadedServer) -> list[str]:
    """What is left of results that were made for one answer."""
    directory = DataDir(server.runtime.settings.data_dir).files
    return [path.name for path in directory.iterdir() if path.name.startswith(("export-", "."))]


def endless_queries(database: PostgresDatabase) -> int:
    (row,) = run_sql(
        database.admin_dsn,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
        "AND query LIKE '%/* endless */%' AND pid <> pg_backend_pid()",
    )
    return int(row[0])


def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_query_is_answered_as_json(ask: Ask) -> None:
    answer = ask("SELECT id, item, price, paid, placed FROM orders ORDER BY id", max_rows=3)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    QueryAnswer.model_validate(told)
    assert set(told) == {"columns", "rows", "truncated", "row_count", "rows_affected", "elapsed_ms"}
    assert told["columns"] == [
        {"name": "id", "type": "integer"},
        {"name": "item", "type": "text"},
        {"name": "price", "type": "numeric(12,4)"},
        {"name": "paid", "type": "boolean"},
        {"name": "placed", "type": "timestamp with time zone"},
    ]
    assert [row[:4] for row in told["rows"]] == [
        [1, "item 1", 1.25, False],
        [2, "item 2", 2.5, True],
        [3, None, 3.75, False],
    ]
    assert (told["row_count"], told["truncated"], told["rows_affected"]) == (3, True, None)
    assert told["elapsed_ms"] >= 0


def test_an_answer_that_is_whole_is_not_truncated(ask: Ask) -> None:
    told = ask("SELECT id FROM orders", max_rows=40).json()
    assert (told["row_count"], told["truncated"]) == (40, False)
    assert ask("SELECT id FROM orders WHERE false").json()["rows"] == []


@pytest.mark.requirement("10.2")
def test_ten_thousand_rows_are_the_limit_unless_more_are_asked_for(ask: Ask) -> None:
    sql = "SELECT n FROM generate_series(1, 10001) n"
    told = ask(sql).json()
    assert (told["row_count"], told["truncated"]) == (10_000, True)
    told = ask(sql, max_rows=20_000).json()
    assert (told["row_count"], told["truncated"]) == (10_001, False)


@pytest.mark.parametrize(
    "accept", [None, "", "*/*", "application/json", "application/*", "text/html, */*;q=0.8"]
)
def test_json_is_what_a_client_gets_that_leaves_the_choice(ask: Ask, accept: str | None) -> None:
    assert ask("SELECT 1 AS a", accept).json()["rows"] == [[1]]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/csv", CSV),
        ("text/*", CSV),
        ("application/json;q=0.1, text/csv; charset=utf-8", CSV),
        (f"text/csv;q=0.5, {ARROW};q=0.9, */*;q=0.1", ARROW),
        ("text/csv, */*", CSV),
        ("application/json;q=0, */*", CSV),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", "application/json"),
        ("TEXT/CSV", CSV),
    ],
)
def test_quality_values_decide(ask: Ask, accept: str, media_type: str) -> None:
    answer = ask("SELECT 1 AS a", accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("accept", ["text/html", "image/*, text/csv;q=0", "text/csv;q=x", ";", "*/*;q=0"])
def test_what_cannot_be_answered_in_is_told_with_what_can(ask: Ask, accept: str) -> None:
    error = error_of(ask("SELECT 1 AS a", accept), 422, "invalid_request", "Accept")
    for possible in ("application/json", CSV, ARROW):
        assert possible in error["message"]


def test_csv_is_streamed_with_its_counts(ask: Ask, server: ThreadedServer) -> None:
    answer = ask("SELECT id, item, paid FROM orders ORDER BY id", CSV, max_rows=3)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert (answer.headers["x-row-count"], answer.headers["x-truncated"]) == ("3", "true")
    assert answer.text == "id,item,paid\n1,item 1,false\n2,item 2,true\n3,,false\n"
    assert exports(server) == []
    until(lambda: open_exports() == [])


def test_arrow_keeps_the_types(ask: Ask, server: ThreadedServer) -> None:
    answer = ask("SELECT id, price, paid, placed FROM orders ORDER BY id", ARROW)
    assert answer.headers["content-type"] == ARROW
    assert (answer.headers["x-row-count"], answer.headers["x-truncated"]) == ("40", "false")
    with pa.ipc.open_stream(io.BytesIO(answer.content)) as stream:
        table = stream.read_all()
    assert table.num_rows == 40
    assert table.schema.field("id").type == pa.int32()
    assert table.schema.field("price").type == pa.decimal128(12, 4)
    assert str(table.column("price")[2].as_py()) == "3.7500"
    assert table.schema.field("placed").type == pa.timestamp("us", tz="UTC")
    assert exports(server) == []


def test_what_arrow_cannot_keep_is_told_with_the_header_that_asked_for_it(ask: Ask) -> None:
    answer = ask("SELECT 'infinity'::timestamptz AS at", ARROW)
    assert "csv" in error_of(answer, 422, "invalid_request", "Accept")["message"]
    assert ask("SELECT 'infinity'::timestamptz AS at", CSV).text == "at\ninfinity\n"


def test_large_results_come_whole(ask: Ask) -> None:
    answer = ask("SELECT n, md5(n::text) FROM generate_series(1, 100000) n", CSV, max_rows=100_000)
    assert answer.headers["x-row-count"] == "100000"
    assert answer.text.count("\n") == 100_001
    assert len(answer.content) == int(answer.headers["content-length"])


def test_parameters_are_values_and_never_sql(ask: Ask) -> None:
    for value in ("'; DROP TABLE orders; --", "$1", "\\", '"', "☃\n\t", "%s", "item 7"):
        for accept in (None, CSV):
            answer = ask(
                "SELECT $1::text AS a, count(*) AS n FROM orders WHERE item = $1", accept, params=[value]
            )
            assert answer.status_code == 200, answer.text
        told = ask("SELECT $1::text AS a, count(*) AS n FROM orders WHERE item = $1", params=[value]).json()
        assert told["rows"] == [[value, int(value == "item 7")]]
    told = ask(
        "SELECT id FROM orders WHERE placed < $1 AND id = ANY($2)", params=["2025-01-04", [1, 2, 30]]
    ).json()
    assert told["rows"] == [[1], [2]]
    error_of(ask("SELECT $1::text AS a", params=["\x00"]), 422, "invalid_request", "params[0]")
    error_of(ask("SELECT $1::int AS a, $2::int AS b", params=[1]), 422, "invalid_request", "params")
    error = error_of(ask("SELECT $1::int AS a", params=["x"]), 400, "query_failed")
    assert error["details"][0]["sqlstate"] == "22P02"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "sql"),
        ({"sql": ""}, "sql"),
        ({"sql": 1}, "sql"),
        ({"sql": "SELECT 1", "max_rows": 0}, "max_rows"),
        ({"sql": "SELECT 1", "max_rows": "5"}, "max_rows"),
        ({"sql": "SELECT 1", "max_rows": True}, "max_rows"),
        ({"sql": "SELECT 1", "timeout_s": 0}, "timeout_s"),
        ({"sql": "SELECT 1", "timeout_s": -1}, "timeout_s"),
        ({"sql": "SELECT 1", "timeout_s": "1"}, "timeout_s"),
        ({"sql": "SELECT 1", "params": {"a": 1}}, "params"),
        ({"sql": "SELECT 1", "limit": 5}, "limit"),
        ({"query": "SELECT 1"}, "sql"),
    ],
)
def test_a_body_that_is_wrong_is_told(
    admin: httpx.Client, source: str, body: dict[str, Any], param: str
) -> None:
    error_of(admin.post(f"/v1/data-sources/{source}/query", json=body), 422, "invalid_request", param)


@pytest.mark.parametrize("accept", [None, CSV, ARROW])
@pytest.mark.parametrize("sql", ["  ", "-- nothing", "SELECT", "SELECT 1; SELECT 2", "\x00"])
def test_what_is_no_single_query_is_refused(ask: Ask, sql: str, accept: str | None) -> None:
    answer = ask(sql, accept)
    assert answer.status_code in (400, 403, 422), answer.text
    error = answer.json()["error"]
    assert error["param"] in (None, "sql")
    error_of(answer, answer.status_code, error["code"], error["param"])


@pytest.mark.requirement("2.5")
@pytest.mark.parametrize("accept", [None, CSV, ARROW])
def test_a_failing_query_is_told_in_the_servers_own_words(
    ask: Ask, server: ThreadedServer, accept: str | None
) -> None:
    error = error_of(ask("SELECT idd FROM orders", accept), 400, "query_failed")
    [detail] = error["details"]
    assert detail["sqlstate"] == "42703"
    assert detail["message"] == 'column "idd" does not exist'
    assert "orders.id" in detail["hint"]
    assert detail["position"] == 8
    assert "42703" in error["message"]
    error = error_of(ask("SELECT 1 / (id - 20) FROM orders ORDER BY id", accept), 400, "query_failed")
    assert error["details"][0]["sqlstate"] == "22012"
    assert exports(server) == []


@pytest.mark.requirement("2.8")
@pytest.mark.parametrize("accept", [None, CSV, ARROW])
@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
        "SELECT pg_read_file('/etc/passwd')",
        "COMMIT",
    ],
)
def test_writing_is_refused(ask: Ask, orders: PostgresDatabase, sql: str, accept: str | None) -> None:
    error_of(ask(sql, accept), 403, "read_only_violation", "sql")
    assert run_sql(orders.admin_dsn, "SELECT count(*) FROM orders") == [(40,)]


@pytest.mark.requirement("2.6")
@pytest.mark.parametrize("accept", [None, CSV, ARROW])
@pytest.mark.parametrize("sql", [ENDLESS, STREAMING])
def test_a_query_is_stopped_at_the_time_that_the_request_names(
    ask: Ask, orders: PostgresDatabase, server: ThreadedServer, sql: str, accept: str | None
) -> None:
    error = error_of(ask(sql, accept, timeout_s=0.3, max_rows=5_000_000), 504, "query_timeout")
    assert "0.3 s" in error["message"]
    until(lambda: endless_queries(orders) == 0)
    assert exports(server) == []


def test_a_query_that_costs_too_much_is_refused_with_its_plan(
    admin: httpx.Client, ask: Ask, orders: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    name = register_database(admin, unique("dear"), orders, statement_cost_limit=100)
    for accept in (None, CSV):
        error = error_of(
            ask("SELECT * FROM generate_series(1, 1000000) a", accept, source=name),
            413,
            "query_too_costly",
            "sql",
        )
        assert error["details"][0]["total_cost"] > error["details"][0]["limit"] == 100
    assert ask("SELECT 1 AS a", source=name).json()["rows"] == [[1]]


@pytest.mark.parametrize("accept", [None, CSV, ARROW])
@pytest.mark.parametrize("sql", [ENDLESS, STREAMING])
def test_a_client_that_leaves_ends_its_query_on_the_server(
    admin: httpx.Client,
    source: str,
    orders: PostgresDatabase,
    server: ThreadedServer,
    sql: str,
    accept: str | None,
) -> None:
    async def leave() -> None:
        async with httpx.AsyncClient(
            base_url=server.url, headers=bearer(server.admin_key), timeout=60, verify=NO_TLS
        ) as client:
            body = {"sql": sql, "max_rows": 5_000_000}
            asking = asyncio.create_task(
                client.post(
                    f"/v1/data-sources/{source}/query", json=body, headers={"Accept": accept or "*/*"}
                )
            )
            await asyncio.to_thread(until, lambda: endless_queries(orders) == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(leave())
    until(lambda: endless_queries(orders) == 0)
    until(lambda: exports(server) == [])
    assert admin.post(f"/v1/data-sources/{source}/query", json={"sql": "SELECT 1 AS a"}).status_code == 200


def test_a_client_that_leaves_in_the_middle_of_a_stream_leaves_nothing(
    admin: httpx.Client, source: str, server: ThreadedServer
) -> None:
    sql = "SELECT repeat(md5(n::text), 30) FROM generate_series(1, 50000) n"  # 48 MB: more than any socket buffers
    with captured_logs() as logs:
        request = admin.stream(
            "POST",
            f"/v1/data-sources/{source}/query",
            json={"sql": sql, "max_rows": 50_000},
            headers={"Accept": CSV},
        )
        with request as answer:
            assert answer.headers["x-row-count"] == "50000"
            assert next(answer.iter_raw()).startswith(b"repeat\n")
            assert exports(server) == []  # its name went before its first byte
        until(lambda: "client left before it had the whole result" in logs.getvalue())
    until(lambda: open_exports() == [])


def open_exports() -> list[str]:
    """The nameless files that this process, which the server lives in, still holds open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if "/export-" in target:
            found.append(target)
    return found


@pytest.mark.requirement("10.3")
def test_sixty_at_once_share_a_pool_of_ten(
    admin: httpx.Client, orders: PostgresDatabase, server: ThreadedServer, unique: Callable[[str], str]
) -> None:
    name = register_database(admin, unique("busy"), orders, pool_max_size=10)

    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(
            base_url=server.url, headers=bearer(server.admin_key), timeout=60, verify=NO_TLS, limits=limits
        ) as client:
            kinds = ["application/json", CSV, ARROW]
            return await asyncio.gather(
                *(
                    client.post(
                        f"/v1/data-sources/{name}/query",
                        json={"sql": "SELECT $1::int AS n, pg_sleep(0.05) IS NULL AS s", "params": [n]},
                        headers={"Accept": kinds[n % 3]},
                    )
                    for n in range(60)
                )
            )

    with captured_logs() as logs, watched_connections(orders) as seen:
        answers = asyncio.run(all_at_once())
    assert [answer.status_code for answer in answers] == [200] * 60, answers
    assert [a.json()["rows"] for a in answers[::3]] == [[[n, False]] for n in range(0, 60, 3)]
    assert [a.text for a in answers[1::3]] == [f"n,s\n{n},false\n" for n in range(1, 60, 3)]
    assert 1 < max(seen) <= 10
    assert exports(server) == []
    until(lambda: open_exports() == [])
    assert "client left" not in logs.getvalue()


class watched_connections:
    """How many sessions of ours the database had, asked again and again while the block runs."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._seen: list[int] = []
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> list[int]:
        self._watching.start()
        return self._seen

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            rows = run_sql(
                self._database.admin_dsn,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = 'deepanalyze'",
            )
            self._seen.append(int(rows[0][0]))


def test_columns_of_one_name_and_odd_names_are_kept_apart(ask: Ask) -> None:
    told = ask('SELECT 1 AS a, 2 AS a, 3 AS "a b ☃", 4 AS ""\'"', accept=None)
    assert told.status_code == 400
    told = ask('SELECT 1 AS a, 2 AS a, 3 AS "a ""b"" ☃"').json()
    names = [column["name"] for column in told["columns"]]
    assert len(set(names)) == 3
    assert names[2] == 'a "b" ☃'
    assert ask("SELECT 1 AS a, 2 AS a", CSV).text.splitlines()[1] == "1,2"


@pytest.fixture
def writable(admin: httpx.Client, orders: PostgresDatabase, unique: Callable[[str], str]) -> str:
    run_sql(orders.admin_dsn, "GRANT INSERT, UPDATE, DELETE ON orders TO analyst")
    return register_database(admin, unique("rw"), orders, read_only=False)


def test_who_may_write_to_a_writable_source_does(
    admin: httpx.Client, ask: Ask, writable: str, orders: PostgresDatabase
) -> None:
    told = ask("UPDATE orders SET price = 0 WHERE id <= $1", source=writable, params=[5]).json()
    assert (told["rows_affected"], told["row_count"], told["rows"]) == (5, 0, [])
    told = ask("DELETE FROM orders WHERE id = 40 RETURNING id", source=writable).json()
    assert (told["rows_affected"], told["rows"]) == (1, [[40]])
    assert run_sql(orders.admin_dsn, "SELECT count(*) FROM orders WHERE price = 0") == [(5,)]
    error_of(ask("DELETE FROM orders", CSV, source=writable), 403, "read_only_violation", "sql")
    error_of(ask("DROP TABLE orders", source=writable), 403, "read_only_violation", "sql")
    assert run_sql(orders.admin_dsn, "SELECT count(*) FROM orders") == [(39,)]


def test_writing_needs_the_grant(
    server: ThreadedServer,
    admin: httpx.Client,
    ask: Ask,
    writable: str,
    orders: PostgresDatabase,
    user: Callable[..., str],
) -> None:
    id = admin.get(f"/v1/data-sources/{writable}").json()["id"]
    with server.client(user([Grant(id)])) as reader, server.client(user([Grant(id, write=True)])) as writer:
        assert ask("SELECT count(*) AS n FROM orders", source=writable, client=reader).json()["rows"] == [
            [40]
        ]
        error_of(ask("DELETE FROM orders", source=writable, client=reader), 403, "read_only_violation", "sql")
        told = ask("DELETE FROM orders WHERE id = 1", source=writable, client=writer).json()
    assert told["rows_affected"] == 1
    assert run_sql(orders.admin_dsn, "SELECT count(*) FROM orders") == [(39,)]


def test_makers_may_write_to_their_private_sources(
    ada: httpx.Client, ask: Ask, writable: str, orders: PostgresDatabase, unique: Callable[[str], str]
) -> None:
    mine = register_database(ada, unique("mine"), orders, read_only=False)
    assert ask("DELETE FROM orders WHERE id = 2", source=mine, client=ada).json()["rows_affected"] == 1


def test_others_sources_are_not_there(
    admin: httpx.Client,
    ada: httpx.Client,
    bob: httpx.Client,
    ask: Ask,
    source: str,
    orders: PostgresDatabase,
    unique: Callable[[str], str],
) -> None:
    mine = register_database(ada, unique("mine"), orders)
    for accept in (None, CSV):
        error_of(ask("SELECT 1 AS a", accept, client=ada), 404, "not_found", "source_id")
        error_of(ask("SELECT 1 AS a", accept, source=mine, client=bob), 404, "not_found", "source_id")
        error_of(ask("SELECT 1 AS a", accept, source=mine, client=admin), 403, "permission_denied")
        error_of(ask("SELECT 1 AS a", accept, source="no ☃ such"), 404, "not_found", "source_id")


def test_sources_without_sql_say_what_they_hold(
    admin: httpx.Client, container: BlobContainer, ask: Ask, unique: Callable[[str], str]
) -> None:
    lake = register_container(admin, unique("lake"), container)
    box = register(admin, unique("box"), "toy", {"toys": ["a.csv"], "password": PASSWORD})
    for name in (lake, box):
        for accept in (None, CSV):
            error = error_of(ask("SELECT 1 AS a", accept, source=name), 400, "not_supported")
            assert "holds files" in error["message"]


@pytest.mark.requirement("7.1")
def test_uses_are_logged_with_their_counts_and_without_the_sql(ask: Ask, writable: str) -> None:
    with captured_logs() as stream:
        ask("SELECT 'a secret' AS a FROM orders", max_rows=3)
        ask("SELECT 'a secret' AS a FROM orders", CSV)
        ask("UPDATE orders SET item = 'a secret' WHERE id < 6", source=writable)
        ask("SELECT 'a secret'::int AS a")
        ask("SELECT $1::int AS a", CSV, params=["a secret"])
        ask("SELECT 1 a secret")
        ask("SELECT a_secret(1)")
        # At least: the record of a fixture's own request may come late.
        until(lambda: stream.getvalue().count('"event": "request"') >= 7)
    logs = stream.getvalue()
    records = [json.loads(line) for line in logs.splitlines()]
    operations = [record for record in records if record["event"] == "source operation"]
    names = ("operation", "outcome", "rows", "truncated", "rows_affected", "code", "sqlstate")
    assert [tuple(record.get(name) for name in names) for record in operations] == [
        ("query", "ok", 3, True, None, None, None),
        ("export", "ok", 40, False, None, None, None),
        ("query", "ok", 0, False, 5, None, None),
        ("query", "failed", None, None, None, "query_failed", "22P02"),
        ("export", "failed", None, None, None, "query_failed", "22P02"),
        ("query", "failed", None, None, None, "query_failed", "42601"),
        ("query", "failed", None, None, None, "query_failed", "42883"),
    ]
    assert operations[1]["bytes"] == len("a\n" + "a secret\n" * 40)
    assert "secret" not in logs


@pytest.fixture
def thread_files(admin: httpx.Client) -> Callable[[dict[str, Any]], bytes]:
    def content(fetched: dict[str, Any]) -> bytes:
        [file] = fetched["files"]
        path = f"/v1/threads/{fetched['thread_id']}/files/{file['file']}"
        return admin.get(path).content

    return content


@pytest.mark.requirement("2.3")
@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ({"query": "SELECT id, price FROM orders ORDER BY id"}, "query.parquet"),
        ({"table": "public.orders"}, "orders.parquet"),
        ({"table": "orders", "save_as": "mine"}, "mine.parquet"),
        ({"table": "orders", "save_as": "Mine.PARQUET"}, "Mine.PARQUET"),
    ],
)
def test_queries_and_tables_are_fetched_as_parquet(
    admin: httpx.Client,
    source: str,
    thread_files: Callable[[dict[str, Any]], bytes],
    reference: dict[str, Any],
    name: str,
) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    answer = admin.post(f"/v1/data-sources/{source}/fetch", json={**reference, "format": "parquet"})
    assert answer.status_code == 200, answer.text
    [file] = answer.json()["files"]
    assert (file["file"], file["rows"], file["truncated"]) == (name, 40, False)
    content = thread_files(answer.json())
    assert pd.read_parquet(io.BytesIO(content))["id"].sum() == 820
    table = pq.read_table(io.BytesIO(content))
    assert table.num_rows == 40
    assert table.schema.field("price").type == pa.decimal128(12, 4)


def test_files_stay_as_they_are(
    admin: httpx.Client, container: BlobContainer, unique: Callable[[str], str]
) -> None:
    lake = register_container(admin, unique("lake"), container)
    body = {"path": "a.csv", "format": "parquet"}
    error_of(admin.post(f"/v1/data-sources/{lake}/fetch", json=body), 422, "invalid_request", "format")


def test_a_question_over_parquet_is_answered(admin: httpx.Client, source: str) -> None:
    body = {
        "model": "deepanalyze-profiler",
        "messages": [{"role": "user", "content": "average price by paid"}],
        "data_sources": [{"source_id": source, "table": "orders", "format": "parquet"}],
    }
    message = admin.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]
    assert [file["file"] for file in message["data_sources"]] == ["orders.parquet"]
    assert "<Answer>" in message["content"]
