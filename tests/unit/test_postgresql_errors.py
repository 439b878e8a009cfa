"""Which failures of PostgreSQL are told how, and which are worth another try."""

from __future__ import annotations

import socket

import psycopg
import pytest
from psycopg import errors as pg

from deepanalyze.datasources.connectors.postgresql.errors import is_transient, mapped


@pytest.mark.requirement("7.3")
@pytest.mark.parametrize(
    ("error", "again"),
    [
        (pg.ConnectionFailure(), True),  # 08006
        (pg.SqlclientUnableToEstablishSqlconnection(), True),  # 08001
        (pg.ProtocolViolation(), True),  # 08P01, which poolers answer with
        (pg.AdminShutdown(), True),
        (pg.CrashShutdown(), True),
        (pg.CannotConnectNow(), True),
        (pg.TooManyConnections(), True),
        (pg.SerializationFailure(), True),
        (pg.DeadlockDetected(), False),
        (pg.QueryCanceled(), False),
        (pg.InvalidPassword(), False),
        (pg.InvalidAuthorizationSpecification(), False),
        (pg.InvalidCatalogName(), False),
        (pg.UndefinedTable(), False),
        (pg.DivisionByZero(), False),
        (pg.ReadOnlySqlTransaction(), False),
        (pg.InsufficientPrivilege(), False),
        (pg.DatabaseDropped(), False),
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.OperationalError("connection failed: Connection refused"), True),
        (psycopg.OperationalError("connection timeout expired"), True),
        (psycopg.OperationalError("FATAL:  sorry, too many clients already"), True),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), True),
        (psycopg.OperationalError('FATAL:  password authentication failed for user "x"'), False),
        (psycopg.OperationalError("fe_sendauth: no password supplied"), False),
        (psycopg.OperationalError('FATAL:  no pg_hba.conf entry for host "1.2.3.4"'), False),
        (psycopg.OperationalError('FATAL:  database "x" does not exist'), False),
        (psycopg.OperationalError("SSL error: certificate verify failed"), False),
        (psycopg.OperationalError("server does not support SSL, but SSL was required"), False),
        (psycopg.OperationalError("FATAL:  connection requires a valid client certificate"), False),
        (psycopg.ProgrammingError("nonsense"), False),
        (ConnectionResetError(), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (FileNotFoundError(), False),
        (ValueError(), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else f"{type(value).__name__}-{str(value)[:30]}",
)
def test_what_may_pass_by_itself_is_tried_again(error: BaseException, again: bool) -> None:
    assert is_transient(error) is again


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ('FATAL:  password authentication failed for user "x"', "source_authentication_failed", "password"),
        ("FATAL:  connection requires a valid client certificate", "source_authentication_failed", "sslcert"),
        ('FATAL:  database "sales" does not exist', "source_unavailable", "sales"),
        ("SSL error: certificate verify failed", "source_unavailable", "no trusted TLS connection"),
        ("FATAL:  remaining connection slots are reserved", "source_unavailable", "no more connections"),
        (
            "FATAL:  no more connections allowed (max_client_conn)",
            "source_unavailable",
            "no more connections",
        ),
        (
            "FATAL:  the database system is in recovery mode",
            "source_unavailable",
            "starting up or shutting down",
        ),
        (
            "server closed the connection unexpectedly\n\tThis probably means",
            "source_unavailable",
            "ended the",
        ),
        ("connection failed: Connection refused", "source_unavailable", "cannot be reached"),
    ],
)
def test_what_keeps_a_connection_from_being_made_is_told_apart(words: str, code: str, told: str) -> None:
    error = mapped(psycopg.OperationalError(words), "pg")
    assert error.code == code
    assert told in error.message


def test_every_error_of_the_driver_is_mapped() -> None:
    """Also those that a later version brings: none is left to become an internal error."""
    kinds = [kind for kind in vars(pg).values() if isinstance(kind, type) and issubclass(kind, psycopg.Error)]
    assert len(kinds) > 200
    for kind in kinds:
        error = mapped(kind("some words"), "pg")
        assert error.code != "internal_error", kind
        assert "'pg'" in error.message
