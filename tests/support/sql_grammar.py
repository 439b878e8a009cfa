"""SQL made by chance: harmless and harmful parts, nested in each other. Much of it is no SQL at all, which is fine."""

from __future__ import annotations

from hypothesis import strategies as st

_NAMES = st.sampled_from(
    ["t", "public.t", '"t"', "v", "m", "pg_class", "information_schema.tables", "x", "s"]
)
_COLUMNS = st.sampled_from(["a", "t.a", "x.a", "*", "t", "x.of_row", "(t).of_row", "1", "relname", "ctid"])
_FUNCTIONS = st.sampled_from(
    [
        *("count", "sum", "upper", "now", "random", "pg_sleep", "generate_series", "jsonb_agg", "coalesce"),
        *(
            "pg_read_file",
            "pg_catalog.pg_read_file",
            '"pg_read_file"',
            "PG_READ_FILE",
            "pg_ls_dir",
            "lo_create",
        ),
        *(
            "pg_advisory_lock",
            "set_config",
            "nextval",
            "setval",
            "pg_notify",
            "query_to_xml",
            "ts_rewrite",
            "f",
        ),
        *(
            "stable_f",
            "public.stable_f",
            "of_row",
            "pg_terminate_backend",
            "lo_import",
            "txid_current",
            "setseed",
        ),
    ]
)
_TYPES = st.sampled_from(
    ["int", "text", "regclass", "checked", "mood", "of_checked", "pair", "json", "checked[]"]
)
_LITERALS = st.sampled_from(
    [
        "1",
        "0",
        "NULL",
        "'a'",
        "E'\\\\'",
        "$$x$$",
        "'5'",
        "U&'\\0061'",
        "B'1'",
        "true",
        "'t'",
        "'{1}'",
        "'s'",
        "1::bigint",
    ]
)
_OPERATORS = st.sampled_from(
    ["+", "=", "||", "<<<>>>", "OPERATOR(public.<<<>>>)", "AND", "IN", "LIKE", "->", "::"]
)
_WRITES = st.sampled_from(
    [
        "INSERT INTO t VALUES (9) RETURNING a",
        "DELETE FROM t RETURNING a",
        "UPDATE t SET a = 9 RETURNING a",
        "MERGE INTO t USING (SELECT 1 AS a) q ON t.a = q.a WHEN MATCHED THEN DELETE RETURNING t.a",
    ]
)
_TAILS = st.sampled_from(
    [
        *(
            "",
            "",
            "",
            ";",
            " FOR UPDATE",
            " FOR SHARE",
            " INTO z",
            "; COMMIT",
            "; DROP TABLE t",
            " -- x",
            " /* x */",
        ),
        *(
            " LIMIT 1",
            " ORDER BY 1",
            " ORDER BY a USING <<<>>>",
            " TABLESAMPLE BERNOULLI (50)",
            " WINDOW w AS ()",
        ),
    ]
)
_COMMANDS = st.sampled_from(
    [
        *(
            "COMMIT",
            "BEGIN",
            "ROLLBACK",
            "SET transaction_read_only = off",
            "SET ROLE postgres",
            "TRUNCATE t",
        ),
        *(
            "DROP TABLE t",
            "CREATE TABLE z (a int)",
            "DO $$ BEGIN DELETE FROM t; END $$",
            "CALL p()",
            "LOCK TABLE t",
        ),
        *(
            "COPY t TO '/tmp/x'",
            "COPY (SELECT 1) TO STDOUT",
            "LISTEN x",
            "VACUUM t",
            "SHOW work_mem",
            "TABLE t",
        ),
        *(
            "CREATE TEMP TABLE z AS SELECT 1",
            "PREPARE q AS DELETE FROM t",
            "EXECUTE q",
            "REFRESH MATERIALIZED VIEW m",
        ),
    ]
)


def _expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    calls = st.builds("{}({})".format, _FUNCTIONS, st.one_of(inner, st.just(""), st.just("*")))
    return st.one_of(
        calls,
        st.builds("{} {} {}".format, inner, _OPERATORS, inner),
        st.builds("({})::{}".format, inner, _TYPES),
        st.builds("CAST({} AS {})".format, inner, _TYPES),
        st.builds("CASE WHEN {} THEN {} ELSE {} END".format, inner, inner, inner),
        st.builds("{} FILTER (WHERE {})".format, calls, inner),
        st.builds("{} OVER (ORDER BY {})".format, calls, inner),
        st.builds("ARRAY[{}, {}]".format, inner, inner),
        st.builds("ROW({}, {})".format, inner, inner),
        st.builds("EXISTS (SELECT {} FROM t)".format, inner),
        st.builds("(SELECT {} LIMIT 1)".format, inner),
        st.builds("({}) IN (SELECT a FROM t)".format, inner),
    )


_EXPRESSION = st.recursive(st.one_of(_LITERALS, _COLUMNS), _expressions, max_leaves=4)


def _sources(query: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _NAMES,
        st.builds("({}) x".format, query),
        st.builds("LATERAL ({}) x(a)".format, query),
        st.builds("{}({}) x(a)".format, _FUNCTIONS, _EXPRESSION),
        st.builds("ROWS FROM ({}({}), {}({})) x".format, _FUNCTIONS, _LITERALS, _FUNCTIONS, _LITERALS),
        st.builds("t JOIN {} x ON {}".format, _NAMES, _EXPRESSION),
    )


def _queries(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = st.builds(
        "SELECT {} FROM {} WHERE {}".format,
        _EXPRESSION,
        _sources(inner),
        st.one_of(st.just("true"), _EXPRESSION),
    )
    return st.one_of(
        plain,
        st.builds("{} UNION ALL {}".format, inner, inner),
        st.builds("WITH x AS ({}) {}".format, st.one_of(inner, _WRITES), inner),
        st.builds("WITH RECURSIVE x(a) AS ({} UNION ALL {}) TABLE x".format, inner, inner),
        st.builds("VALUES ({}), ({})".format, _EXPRESSION, _EXPRESSION),
        st.builds("SELECT * FROM ({}) x GROUP BY {}".format, st.one_of(inner, _WRITES), _EXPRESSION),
    )


_QUERY = st.recursive(st.builds("SELECT {}".format, _EXPRESSION), _queries, max_leaves=3)

TEXTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["", "", "", "EXPLAIN ", "EXPLAIN ANALYZE ", "EXPLAIN (ANALYZE, FORMAT JSON) ", "-- x\n", "/* ; */ "]
    ),
    st.one_of(_QUERY, _QUERY, _QUERY, _COMMANDS, _WRITES),
    _TAILS,
)
