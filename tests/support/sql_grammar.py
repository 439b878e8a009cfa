"""SQL made by chance: harmless and harmful parts, nested in each other. Much of it is no SQL at all, which is fine."""

from __future__ import annotations

from hypothesis import strategies as st

_NAMES = st.sampled_from(
    ["t", "public.t", '"t"', "v", "m", "pg_class", "information_schema.tables", "x", "s"]
)
_COLUMNS = st.sampled_from(
    [
        *("a", "a", "t.a", "x.a", "*", "t", "1", "relname", "ctid"),
        *("x.of_row", "(t).of_row", "x.upper", "x.checked", "x.pg_read_file", "x.pg_advisory_lock"),
    ]
)
# What may stand behind a dot and is called with what stands before it.
_FIELDS = st.sampled_from(
    [
        *(
            "a",
            "upper",
            "int8",
            "text",
            "pg_typeof",
            "checked",
            "_checked",
            "of_row",
            "pg_read_file",
            "pg_ls_dir",
        ),
        *("pg_advisory_lock", "pg_terminate_backend", "lo_create", "setseed", "nextval", "stable_f"),
    ]
)
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
            "checked",
            "public.checked",
            "int4",
            'U&"pg\\005fread\\005ffile"',
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
        st.builds("({}).{}".format, inner, _FIELDS),
        st.builds("{} BETWEEN {} AND {}".format, inner, inner, inner),
        st.builds("CASE {} WHEN {} THEN {} END".format, inner, inner, inner),
        st.builds("mode() WITHIN GROUP (ORDER BY {})".format, inner),
        st.builds("{}(VARIADIC ARRAY[{}])".format, _FUNCTIONS, inner),
        st.builds("JSON_VALUE('1'::jsonb, '$' RETURNING {})".format, _TYPES),
        st.builds("ARRAY[{}, {}]".format, inner, inner),
        st.builds("ROW({}, {})".format, inner, inner),
        st.builds("EXISTS (SELECT {} FROM t)".format, inner),
        st.builds("(SELECT {} LIMIT 1)".format, inner),
        st.builds("({}) IN (SELECT a FROM t)".format, inner),
    )


_EXPRESSION = st.recursive(st.one_of(_LITERALS, _COLUMNS), _expressions, max_leaves=4)


def _texts(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Of one type throughout, so that the server has nothing against them but what the guard should have."""
    return st.one_of(
        st.builds("upper({})".format, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("CASE {} WHEN {} THEN {} END".format, inner, inner, inner),
        st.builds("CASE WHEN {} BETWEEN {} AND 'z' THEN 'm' ELSE {} END".format, inner, inner, inner),
        st.builds(
            "(SELECT {} FROM unnest(ARRAY[{}]) f)".format, st.sampled_from(["f", "f.upper", "f.f"]), inner
        ),
        st.builds("(SELECT max({}) FROM t)".format, inner),
        st.builds("({}).{}".format, inner, st.sampled_from(["upper", "lower", "pg_read_file", "checked"])),
        st.builds(
            "{}({})::text".format,
            st.sampled_from(["text", "varchar", "lower", "checked", "pg_read_file"]),
            inner,
        ),
        st.builds(
            "CAST({} AS {})::text".format,
            inner,
            st.sampled_from(["varchar", "name", "checked", "positive_free"]),
        ),
    )


_TEXT = st.recursive(
    st.sampled_from(["'a'", "'/etc/passwd'", "$$5$$", "E'\\x'", "NULL"]), _texts, max_leaves=4
)


def _sources(query: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        _NAMES,
        st.builds("({}) x".format, query),
        st.builds("LATERAL ({}) x(a)".format, query),
        st.builds("{}({}) x(a)".format, _FUNCTIONS, _EXPRESSION),
        st.builds("unnest(ARRAY[{}]) x".format, _LITERALS),
        st.just("generate_series(1::bigint, 2) x"),
        st.builds("t x TABLESAMPLE {} (50)".format, st.sampled_from(["SYSTEM", "public.bernoulli", "odd"])),
        st.builds("JSON_TABLE({}::jsonb, '$' COLUMNS (a {} PATH '$')) x".format, _LITERALS, _TYPES),
        st.builds("json_to_record('{{\"a\": 1}}') AS x(a {})".format, _TYPES),
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


_QUERY = st.recursive(
    st.one_of(st.builds("SELECT {}".format, _EXPRESSION), st.builds("SELECT {}".format, _TEXT)),
    _queries,
    max_leaves=3,
)

TEXTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ["", "", "", "EXPLAIN ", "EXPLAIN ANALYZE ", "EXPLAIN (ANALYZE, FORMAT JSON) ", "-- x\n", "/* ; */ "]
    ),
    st.one_of(_QUERY, _QUERY, st.builds("SELECT {} AS x FROM t".format, _TEXT), _COMMANDS, _WRITES),
    _TAILS,
)
