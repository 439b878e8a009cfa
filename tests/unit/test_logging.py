import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from cryptography.fernet import Fernet
from pydantic import SecretStr

from deepanalyze.logging import bind_request, configure_logging
from deepanalyze.logging.redaction import redact_text
from tests.support.logs import restored_logging

C = "canary7Xq"  # whatever else is logged, this never is


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored_logging():
        yield


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_has_time_level_request_and_user(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    bind_request("req-1")
    bind_request("req-1", "user-ada")
    structlog.get_logger().info("source created", source_id="ds-1", duration_ms=1.5, files=["a.csv"])
    (record,) = records(stream)
    assert record.pop("timestamp").endswith("Z")
    assert record.pop("logger")
    assert record == {
        "event": "source created",
        "level": "info",
        "request_id": "req-1",
        "user_id": "user-ada",
        "source_id": "ds-1",
        "duration_ms": 1.5,
        "files": ["a.csv"],
    }


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    bind_request("req-1")
    logging.getLogger("uvicorn.error").info("Started %s", "server")
    logging.getLogger("openai").info("each request")
    logging.getLogger("azure.core").warning("retrying")
    events = [(r["event"], r["level"], r["logger"], r["request_id"]) for r in records(stream)]
    assert events == [
        ("Started server", "info", "uvicorn.error", "req-1"),
        ("retrying", "warning", "azure.core", "req-1"),
    ]


def test_handlers_that_libraries_brought_are_replaced(stream: io.StringIO) -> None:
    own = io.StringIO()
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler(own))
    uvicorn.propagate = False
    configure_logging("info", "json", stream=stream)
    uvicorn.warning("once")
    assert own.getvalue() == ""
    assert len(records(stream)) == 1


def test_records_below_the_level_are_left_out(stream: io.StringIO) -> None:
    configure_logging("warning", "json", stream=stream)
    structlog.get_logger().info("unimportant")
    logging.getLogger("mine").info("unimportant")
    structlog.get_logger().warning("important")
    assert [r["event"] for r in records(stream)] == ["important"]
    configure_logging("debug", "json", stream=stream)
    structlog.get_logger().debug("detail")
    assert records(stream)[-1]["event"] == "detail"


def test_auto_is_json_where_nobody_watches_and_text_at_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    piped, terminal = io.StringIO(), Terminal()
    for stream in (piped, terminal):
        configure_logging("info", "auto", stream=stream)
        structlog.get_logger().info("hello", password=C)
    assert json.loads(piped.getvalue())["event"] == "hello"
    assert "hello" in terminal.getvalue()
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(terminal.getvalue())
    assert C not in piped.getvalue() + terminal.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
def test_no_secret_gets_into_a_record(stream: io.StringIO, format: Any) -> None:
    configure_logging("debug", format, stream=stream)
    log = structlog.get_logger()
    log.info("a", password=C, api_key=C, connection_string=C, token=C, sas_token=C.encode(), account_key=[C])
    log.info("b", config={"host": "db", "password": C, "deep": [{"sslpassword": C}]}, secret=SecretStr(C))
    log.info("c", thing=Holder(), error=ValueError(f"password={C}"), texts=(f"AccountKey={C};",))
    log.info(f"password={C}")
    logging.getLogger("azure").warning("headers %s", {"Authorization": f"SharedKey account:{C}", "x": "y"})
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d',
        "127.0.0.1:1",
        "GET",
        f"/v1/threads/t/files/a.csv?signature={C}",
        "1.1",
        200,
    )
    try:
        try:
            raise ConnectionError(f"connection to postgresql://ada:{C}@db/sales failed")
        except ConnectionError as error:
            raise RuntimeError(f"sk-{C}0123456789") from error
    except RuntimeError:
        log.exception("d")
        logging.getLogger("sqlalchemy").exception("e")
    output = stream.getvalue()
    assert C not in output
    assert len(output.splitlines()) >= 8
    assert "ConnectionError" in output
    assert "/v1/threads/t/files/a.csv" in output


class Holder:
    def __repr__(self) -> str:
        return f"Holder(password='{C}')"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://ada:{C}@db.internal:5432/sales",
        f"postgresql+psycopg://ada:p@ss/{C}@db/sales",
        f"amqp://:{C}@mq",
        f"host=db user=ada password={C} dbname=x",
        f"host=db password='it\\'s {C}' dbname=x",
        f"password: {C}",
        f"config.password={C}",
        f"config: password: {C}",
        f"{{'password': '{C}'}}",
        f'{{"api_key":"{C}"}}',
        f'{{"sslpassword": "a \\" {C}"}}',
        f"DEEPANALYZE_ADMIN_API_KEY={C}",
        f"PGPASSWORD={C} psql",
        f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={C}/+x==;EndpointSuffix=core.windows.net",
        f"BlobEndpoint=https://a;SharedAccessSignature=sv=2024&sig={C}",
        f"https://a.blob.core.windows.net/c/b.csv?sv=2024-01-01&se=2026&sig={C}%3D",
        f"GET /v1/threads/t/files/x.csv?user=u&expires=1&signature={C}",
        f"?sv=2024&sig={C}",
        f"Authorization: Bearer {C}",
        f"authorization: Basic {C}",
        f"Headers([('authorization', 'Bearer {C}')])",
        f"{{b'authorization': b'Bearer {C}'}}",
        f"'Authorization': 'SharedKey account:{C}='",
        f"api-key: {C}",
        f"Cookie: session={C}",
        f"the key sk-da-{C}",
        f"Incorrect API key provided: sk-proj-{C}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJ{C}Ijoi.{C}",
        f"client_secret={C}&grant_type=x",
    ],
)
def test_secrets_are_recognised_by_their_shape(text: str) -> None:
    assert C not in redact_text(text)


def test_fernet_keys_and_tokens_are_recognised() -> None:
    key = Fernet.generate_key()
    token = Fernet(key).encrypt(b"secret").decode()
    assert redact_text(f"{key.decode()} {token}") == "******** ********"


@pytest.mark.parametrize(
    "text",
    [
        "source 'sales': query stopped after 30 s (query_timeout_s); add a filter or raise the limit",
        'password authentication failed for user "ada"',
        "data_sources[0] (sales): config.password: ${env:NO_SUCH}: there is no such variable",
        "config.password: a secret may not stand in the file; config.sslkey: must not be encrypted",
        "users[0] (ada): api_key: a key may not stand in the file",
        "FATAL: no pg_hba.conf entry for host 10.0.0.1",
        "connected to postgresql://db.internal:5432/sales",
        "GET /v1/models 200",
        "SELECT count(*) FROM flights WHERE carrier = 'AA'",
        "Basic statistics for the bearer of news",
        "prompt_tokens=5 completion_tokens=7 max_tokens: 100",
        "thread-0123456789abcdef0123456789abcdef0123456789abcdef",
        "0f343b0931126a20f133d67c2b018a3b5e1b1a1c7a9a1d3b8b8b8b8b8b8b8b8b",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


def test_a_huge_text_is_cut_and_takes_no_time() -> None:
    for piece in ("a://", "password=", "'\\", "/?", "AAAA", "eyJ.", '"'):
        assert len(redact_text(piece * 1_000_000)) < 100_000
