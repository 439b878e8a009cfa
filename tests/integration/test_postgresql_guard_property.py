"""Whatever a grammar makes and the guard accepts is really run, as a superuser, and leaves no trace."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import LiteralString

import psycopg
import pytest

from deepanalyze.datasources import DeepAnalyzeError, PermissionDenied
from tests.support.drawing import drawn
from tests.support.postgres_sources import postgres, run_sql, superuser_config
from tests.support.services import PostgresDatabase
from tests.support.sql_grammar import TEXTS
from tests.support.sql_reads import SETTING
from tests.support.witness import witness


def made(count: int) -> list[str]:
    """The same texts in every run."""
    return list(dict.fromkeys(drawn(TEXTS, count)))


async def run_all(database: PostgresDatabase, texts: list[str]) -> Counter[str]:
    """How often the guard accepted or refused, with a witness after every fifty."""
    run_sql(database.admin_dsn, *SETTING)
    outcomes: Counter[str] = Counter()
    config = superuser_config(database)
    async with postgres(config, query_timeout_s=1, pool_max_size=2) as connector:
        for begin in range(0, len(texts), 50):
            with witness(database.admin_dsn):
                for text in texts[begin : begin + 50]:
                    try:
                        await connector.query(text)
                        outcomes["ran"] += 1
                    except PermissionDenied:
                        outcomes["refused"] += 1
                    except DeepAnalyzeError as error:
                        outcomes[error.code] += 1
    return outcomes


@pytest.mark.parametrize("sql", ["SELECT checked('x')", "SELECT t.of_row FROM t", "SELECT 1 <<<>>> 2"])
def test_the_witness_would_see_it(postgres_database: PostgresDatabase, sql: LiteralString) -> None:
    """All of this runs in a READ ONLY transaction, where no guard stands before it."""
    run_sql(postgres_database.admin_dsn, *SETTING)
    with pytest.raises(AssertionError), witness(postgres_database.admin_dsn):
        run_unguarded(postgres_database.admin_dsn, sql)


def run_unguarded(dsn: str, sql: LiteralString) -> None:
    with psycopg.connect(dsn) as connection, contextlib.suppress(psycopg.errors.CheckViolation):
        connection.read_only = True
        connection.execute(sql)


async def test_what_the_guard_accepts_has_no_side_effect(postgres_database: PostgresDatabase) -> None:
    texts = await asyncio.to_thread(made, 400)
    outcomes = await run_all(postgres_database, texts)
    assert outcomes["ran"] >= 20, outcomes  # else it would prove little
    assert outcomes["refused"] >= 50, outcomes


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_what_the_guard_accepts_has_no_side_effect_at_length(
    postgres_database: PostgresDatabase,
) -> None:
    with contextlib.suppress(TimeoutError):
        texts = await asyncio.to_thread(made, 8_000)
    outcomes = await run_all(postgres_database, texts)
    assert outcomes["ran"] >= 400, outcomes
