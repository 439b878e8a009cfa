"""What a text makes the server look up, also where nothing in it looks like a name."""

from __future__ import annotations

import pytest

from deepanalyze.datasources import ReadOnlyViolation
from deepanalyze.datasources.connectors.postgresql.guard import (
    WRITE,
    Statement,
    one_statement,
    read_only_statement,
)


def read(sql: str) -> Statement:
    return read_only_statement(sql, "pg")


@pytest.mark.parametrize(
    ("sql", "relations"),
    [
        ("SELECT * FROM a, s.b", {(None, "a"), ("s", "b")}),
        ("WITH x AS (TABLE a) SELECT * FROM x", {(None, "a")}),
        ("WITH x AS (TABLE a) SELECT * FROM s.x", {(None, "a"), ("s", "x")}),
        ("WITH x AS (TABLE x) TABLE x", {(None, "x")}),
        ("WITH RECURSIVE x AS (SELECT 1 UNION ALL TABLE x) TABLE x", set()),
        ("WITH x AS (TABLE y), y AS (TABLE x) TABLE y", {(None, "y")}),
        ("SELECT * FROM x UNION ALL (WITH x AS (SELECT 1) TABLE x)", {(None, "x")}),
        ("SELECT * FROM (WITH x AS (SELECT 1) TABLE x) q, x", {(None, "x")}),
        ("WITH x AS (SELECT 1) SELECT (SELECT max(a) FROM x), EXISTS (TABLE x)", set()),
        ("WITH x AS (SELECT 1) SELECT 1 UNION (SELECT a FROM x JOIN y ON true)", {(None, "y")}),
    ],
)
def test_relations_are_told_without_the_names_of_with(sql: str, relations: set[object]) -> None:
    assert read(sql).relations == relations


def test_a_name_of_with_does_not_hide_what_is_written_to() -> None:
    statement = one_statement("WITH t AS (SELECT 1 AS a) DELETE FROM t USING t u", "pg", WRITE)
    assert statement.relations == {(None, "t")}


@pytest.mark.parametrize(
    ("sql", "attributes", "fields"),
    [
        ("SELECT a, t.b, s.t.c, t.* FROM s.t", {"b", "c"}, set()),
        ("SELECT (t).b, (a[1]).c.d, ($1).e FROM t", set(), {"b", "c", "d", "e"}),
        ("SELECT f.a, t.b FROM t, unnest(ARRAY[1]) f", {"b"}, {"a"}),
        (
            "SELECT f.a, t.b FROM t, LATERAL ROWS FROM (unnest(ARRAY[1])) WITH ORDINALITY AS f(x)",
            {"b"},
            {"a"},
        ),
        ("SELECT unnest.a, t.b FROM t, pg_catalog.unnest(ARRAY[1])", {"b"}, {"a"}),
        ("SELECT x.a FROM COALESCE(1, 2), t x", set(), {"a"}),
        ("SELECT (SELECT f.a FROM t f) FROM generate_series(1, 2) g, t WHERE g.b = t.c", {"a", "c"}, {"b"}),
    ],
)
def test_what_may_be_a_call_on_a_row_or_on_any_value(
    sql: str, attributes: set[str], fields: set[str]
) -> None:
    statement = read(sql)
    assert (statement.attributes, statement.fields) == (attributes, fields)


@pytest.mark.parametrize(
    ("sql", "operators"),
    [
        ("SELECT CASE a WHEN 1 THEN 2 END FROM t", {"="}),
        ("SELECT CASE WHEN true THEN 2 END", set()),
        ("SELECT 1 IN (SELECT 2)", {"="}),
        ("SELECT 1 > ALL (SELECT 2)", {">"}),
        ("SELECT EXISTS (SELECT 2), ARRAY(SELECT 1), (SELECT 1)", set()),
        ("SELECT 1 IN (2, 3)", {"="}),
        ("SELECT 1 NOT IN (2, 3)", {"<>"}),
        ("SELECT 1 BETWEEN 2 AND 3", {"<", "<=", ">", ">="}),
        ("SELECT NULLIF(1, 2), 'a' ILIKE 'b'", {"=", "~~*"}),
        ("TABLE t", set()),
        ("SELECT * FROM t JOIN u USING (a)", {"="}),
        ("SELECT * FROM t NATURAL JOIN u", {"="}),
        ("SELECT 1 ORDER BY 1 USING OPERATOR(s.<<<)", {"<<<"}),
        ("SELECT a FROM t JOIN u ON true", set()),
    ],
)
def test_operators_that_syntax_stands_for(sql: str, operators: set[str]) -> None:
    assert {name for _, name in read(sql).operators} == operators


@pytest.mark.parametrize(
    ("sql", "keywords"),
    [
        (
            "SELECT JSON_VALUE('1', '$'), JSON_QUERY('1', '$'), JSON_EXISTS('1', '$')",
            "json_value json_query json_exists",
        ),
        ("SELECT JSON('1'), JSON_SCALAR(1), JSON_SERIALIZE('1')", "json json_scalar json_serialize"),
        ("SELECT JSON_ARRAY(1), JSON_OBJECT(), JSON_ARRAYAGG(1)", "json_array json_object json_arrayagg"),
        ("SELECT json_build_array(1)", ""),
    ],
)
def test_syntax_that_older_servers_take_for_a_call(sql: str, keywords: str) -> None:
    assert read(sql).keywords == set(keywords.split())


def test_only_the_system_s_ways_to_sample() -> None:
    read("SELECT * FROM t TABLESAMPLE pg_catalog.SYSTEM (1)")
    for method in ("public.bernoulli", "odd"):
        with pytest.raises(ReadOnlyViolation, match="TABLESAMPLE"):
            read(f"SELECT * FROM t TABLESAMPLE {method} (1)")
