"""What a PostgreSQL source's config may say, and what is said about what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from deepanalyze.datasources import InvalidRequest
from deepanalyze.datasources.connectors.postgresql import PostgresConfig, PostgreSQLConnector
from deepanalyze.datasources.connectors.postgresql.identifiers import distinct_names, parse_path, quoted
from deepanalyze.datasources.policy import is_forbidden
from deepanalyze.datasources.schema import validate_config
from deepanalyze.datasources.templates import template_of
from tests.support.canaries import canary

SECRET = canary("database password")

BASE = {"host": "db.internal", "database": "sales", "user": "me", "password": SECRET}
PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
PRINCIPAL = {
    "credential": "service_principal",
    "tenant_id": "t",
    "client_id": "c",
    "client_secret": SECRET,
    "password": None,
}


def config(**changes: Any) -> PostgresConfig:
    return validate_config(PostgresConfig, {k: v for k, v in {**BASE, **changes}.items() if v is not None})


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:p%40ss@db.internal:5433/sales?sslmode=require&connect_timeout=3",
        "host=db.internal port=5433 dbname=sales user=me password='p@ss' sslmode=require connect_timeout=3",
    ],
)
def test_a_connection_string_is_taken_apart(text: str) -> None:
    parsed = validate_config(PostgresConfig, {"connection_string": text}).resolved()
    assert (parsed.host, parsed.port, parsed.database, parsed.user) == ("db.internal", 5433, "sales", "me")
    assert parsed.password is not None
    assert parsed.password.get_secret_value() == "p@ss"
    assert (parsed.sslmode, parsed.connect_timeout_s) == ("require", 3)


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"host": None}, "config.host", "is missing"),
        ({"user": None}, "config.user", "is missing"),
        ({"port": 0}, "config.port", "greater than or equal to 1"),
        ({"port": "x"}, "config.port", "valid integer"),
        ({"sslmode": "on"}, "config.sslmode", "'disable'"),
        ({"sslmode": "verify-ca"}, "config.sslrootcert", "is needed"),
        ({"sslrootcert": "/etc/passwd"}, "config.sslrootcert", "PEM text itself"),
        ({"host": "/var/run"}, "config.host", "socket_dir"),
        ({"host": "a,b"}, "config.host", "one host"),
        ({"host": f"postgresql://me:{SECRET}@db.internal/sales"}, "config.host", "connection_string"),
        ({"host": f"me:{SECRET}@db.internal"}, "config.host", "connection_string"),
        ({"host": f"db.internal password={SECRET}"}, "config.host", "connection_string"),
        ({"host": f"db.internal/{SECRET}"}, "config.host", "connection_string"),
        (
            {"connection_string": f"host=postgresql://me:{SECRET}@db/x dbname=x"},
            "config.connection_string",
            "host: must be",
        ),
        ({"socket_dir": "/run"}, "config.socket_dir", "exclude each other"),
        ({"sslcert": "/etc/x.crt"}, "config.sslcert", "PEM text itself"),
        ({"sslcert": PEM}, "config.sslkey", "go together"),
        ({"sslkey": f"-----BEGIN PRIVATE KEY-----\n{SECRET}"}, "config.sslcert", "go together"),
        ({"sslkey": SECRET}, "config.sslkey", "PEM text itself"),
        ({"sslkey": f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{SECRET}"}, "config.sslkey", "passphrase"),
        ({"schemas": ["sales"], "search_path": ["sales", "hr"]}, "config.search_path", "names hr"),
        ({"allowed_networks": ["10.0.0.0/99"]}, "config.allowed_networks", "CIDR"),
        (
            {"options": "-c default_transaction_read_only=off"},
            "config.options",
            "default_transaction_read_only",
        ),
        ({"options": "--statement-timeout=0"}, "config.options", "statement_timeout"),
        ({"options": "-c role=postgres"}, "config.options", "role"),
        ({"options": "-cwork_mem=1MB -c session_preload_libraries=x"}, "config.options", "session_preload"),
        ({"options": "-f /etc/passwd"}, "config.options", "anything but"),
        ({"options": "-c 'work_mem=1"}, "config.options", "anything but"),
        (
            {"options": "-c search_path='a -c row_security=off -c search_path=b'"},
            "config.options",
            "row_security",
        ),
        ({"options": '-c search_path="a -c row_security=off"'}, "config.options", "row_security"),
        ({"options": "-c search_path=a\\ -crow_security=off"}, "config.options", "backslashes"),
        ({"options": "-c search_path=a\x0b-crow_security=off"}, "config.options", "plain text"),
        ({"credential": "managed_identity"}, "config.password", "exclude each other"),
        ({"credential": "service_principal", "password": None}, "config.tenant_id", "is needed"),
        ({**PRINCIPAL, "client_secret": None}, "config.client_secret", "one of them"),
        ({**PRINCIPAL, "sslmode": "prefer"}, "config.sslmode", "in the clear"),
        ({"client_id": "x"}, "config.client_id", "needs credential"),
        ({"credential": "azure_cli", "password": None, "client_id": "x"}, "config.client_id", "does not go"),
        ({"pasword": "x"}, "config.pasword", "did you mean 'password'?"),
        ({"pool_min_size": 5, "pool_max_size": 2}, "config.pool_min_size", "larger than"),
        ({"query_timeout_s": 0}, "config.query_timeout_s", "greater than 0"),
        ({"search_path": []}, "config.search_path", "at least 1"),
        ({"connection_string": f"postgresql://x:{SECRET}@other/sales"}, "config.user", "is given twice"),
        (
            {
                "connection_string": f"postgresql://me:{SECRET}@db.internal/sales?options=-cstatement_timeout%3D0"
            },
            "config.connection_string",
            "not set statement_timeout",
        ),
        ({"connection_string": "service=x"}, "config.connection_string", "may not set service"),
        (
            {"connection_string": "sslrootcert=/etc/x host=h"},
            "config.connection_string",
            "may not set sslrootcert",
        ),
        ({"connection_string": "host=/run dbname=x"}, "config.connection_string", "socket_dir"),
        ({"connection_string": f"{SECRET} = nonsense '"}, "config.connection_string", "cannot be parsed"),
        ({"password": f"{SECRET}\x00rest"}, "config.password", "NUL"),
        ({"host": None, "socket_dir": "/run\x00/x"}, "config.socket_dir", "NUL"),
        (
            {"connection_string": f"user=me password={SECRET}\x00 host=db.internal"},
            "config.connection_string",
            "NUL",
        ),
        ({"connection_string": "postgresql://h:99999/x"}, "config.connection_string", "port must be"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(changes: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        config(**changes)
    assert caught.value.param == param
    assert words in caught.value.message
    assert SECRET not in f"{caught.value} {caught.value.details}"


def test_no_repr_shows_a_secret() -> None:
    whole = config(host=None, connection_string=f"postgresql://me:{SECRET}@db.internal/sales")
    assert SECRET not in f"{whole!r} {whole.resolved()!r} {whole.model_dump_json()}"


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, "require"),
        ({"host": "127.0.0.1"}, "prefer"),
        ({"host": "::1"}, "prefer"),
        ({"host": "localhost"}, "prefer"),
        ({"host": "localhost.example.com"}, "require"),
        ({"host": "localhost", "sslmode": "verify-full"}, "verify-full"),
        ({"host": None, "socket_dir": "/run/postgresql"}, "disable"),
    ],
)
def test_tls_is_the_default_but_on_this_machine(changes: dict[str, Any], mode: str) -> None:
    assert config(**changes).resolved().tls_mode == mode


@pytest.mark.requirement("9.1")
@pytest.mark.requirement("9.2")
def test_the_template_describes_every_parameter_and_its_examples_hold() -> None:
    template = template_of("postgresql", PostgreSQLConnector)
    for name, described in template.schema["properties"].items():
        assert described.get("description"), name
    assert template.schema["properties"]["password"]["anyOf"][0]["writeOnly"]
    for example in template.examples:
        validate_config(PostgresConfig, example["config"])
    assert template.sample_queries
    assert template.path_patterns


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("flights", (None, "flights")),
        ("Public.Flights", ("public", "flights")),
        ('hr."Weird Table"', ("hr", "Weird Table")),
        ('"a.b"."c""d"', ("a.b", 'c"d')),
        ("straße", (None, "straße")),
    ],
)
def test_paths_are_read_by_the_rules_of_sql(path: str, parts: tuple[str | None, str]) -> None:
    assert parse_path(path) == parts
    assert parse_path(quoted(*[p for p in parts if p is not None])) == parts


@pytest.mark.parametrize("path", ["", "a b", "a.", ".a", "a..b", "a.b.c", '"a', "a;b", "1a", '""', "a/b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_path(path)


def test_columns_get_names_of_their_own() -> None:
    assert distinct_names(["a", "a", "a_2", "b", "a"]) == ["a", "a_3", "a_2", "b", "a_4"]
    assert quoted("order", "Mixed", "plain") == '"order"."Mixed".plain'


@pytest.mark.parametrize(
    "options",
    ["-c work_mem=64MB", "--enable-seqscan=off -cjit=off", "endpoint=ep-cool-name-123", "-c search_path=a,b"],
)
def test_options_that_only_plan_are_taken(options: str) -> None:
    assert config(options=options).options == options
    assert config(connection_string=f"host=db.internal options='{options}'").resolved().options == options


@pytest.mark.parametrize("kind", ["default", "managed_identity", "workload_identity", "azure_cli"])
def test_the_server_s_own_identity_is_for_administrators(kind: str) -> None:
    assert set(PostgreSQLConnector.admin_only_in({"credential": kind})) == {"credential"}
    assert set(PostgreSQLConnector.admin_only_in(PRINCIPAL)) == set()


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("::ffff:169.254.169.254", True),
        ("0.0.0.0", True),
        ("168.63.129.16", True),
        ("100.100.100.200", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::1", True),
        ("::169.254.169.254", True),
        ("64:ff9b:1::a9fe:a9fe", True),  # a network's own NAT64, for each length of its prefix
        ("64:ff9b:1:a9fe:a9:fe00::", True),
        ("64:ff9b:1:aa:fe:a9fe::", False),
        ("64:ff9b:1:12a9:fe:a9fe::", True),
        ("64:ff9b:1:1234:a9:fea9:fe00::", True),
        ("64:ff9b:1::a00:1", False),
        ("64:ff9b:1:a00:0:100::", False),
        ("::ffff:0:a9fe:a9fe", True),  # SIIT
        ("::ffff:0:a00:1", False),
        ("2001:0:a9fe:a9fe::1", True),  # Teredo's server, and its client
        ("2001:0:4136:e378:8000:63bf:5601:5601", True),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("64:ff9b::a00:1", False),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("::1", False),
    ],
)
def test_metadata_addresses_are_off_limits(address: str, forbidden: bool) -> None:
    assert is_forbidden(address) is forbidden
