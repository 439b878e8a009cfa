"""Ordinary reading, as analysts, dashboards and database tools write it. None of it may be in the way of the guard."""

from __future__ import annotations

READS = [
    "SELECT * FROM t",
    "TABLE t",
    "VALUES (1), (2)",
    "SELECT 'update; drop table t' AS delete",
    'SELECT a AS "insert into" FROM t',
    "SELECT count(*), sum(a), avg(a), min(a), max(a), stddev(a) FROM t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT a, rank() OVER (ORDER BY a), lag(a) OVER w FROM t WINDOW w AS (PARTITION BY a % 2 ORDER BY a)",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    "WITH x AS MATERIALIZED (SELECT * FROM t) SELECT * FROM x JOIN t USING (a)",
    "SELECT * FROM t LEFT JOIN LATERAL (SELECT t.a + 1 AS b) l ON true",
    "SELECT a FROM t UNION SELECT 1 EXCEPT SELECT 2 INTERSECT SELECT 3",
    "SELECT * FROM t WHERE a IN (SELECT a FROM t) AND a = ANY (ARRAY[1, 2]) AND a BETWEEN 0 AND 9",
    "SELECT * FROM t WHERE a::text LIKE '1%' OR a::text ~* '^2' OR a::text SIMILAR TO '3'",
    "SELECT EXISTS (SELECT FROM t), NOT (SELECT true), a IS DISTINCT FROM 1 FROM t",
    "SELECT DISTINCT ON (a) a FROM t ORDER BY a DESC NULLS LAST LIMIT 5 OFFSET 0",
    "SELECT a, count(*) FROM t GROUP BY GROUPING SETS ((a), ()) HAVING count(*) > 0",
    "SELECT CASE a WHEN 1 THEN 'one' ELSE 'more' END, coalesce(a, 0), nullif(a, 1), greatest(a, 2) FROM t",
    "SELECT now(), current_date, current_timestamp, localtime, clock_timestamp(), timeofday()",
    "SELECT date_trunc('month', now()), extract(dow FROM now()), age(now()), now() - interval '1 day'",
    "SELECT now() AT TIME ZONE 'UTC', to_char(now(), 'YYYY-MM'), make_date(2020, 1, 1)",
    "SELECT upper('a') || lower('B'), length('x'), substring('abc' FROM 2 FOR 1), trim('  a '), position('b' IN 'abc')",
    "SELECT regexp_replace('a', 'b', 'c'), split_part('a,b', ',', 1), string_agg(a::text, ',') FROM t",
    "SELECT round(1.5), ceil(1.2), floor(1.8), power(2, 3), sqrt(4), ln(2), width_bucket(a, 0, 10, 5) FROM t",
    "SELECT random(), gen_random_uuid(), md5('x'), sha256('x')",
    "SELECT * FROM generate_series(1, 3) WITH ORDINALITY g(a, b)",
    "SELECT * FROM generate_series(now(), now() + interval '1 day', '1 hour')",
    "SELECT unnest(ARRAY[1, 2]), (ARRAY[1, 2, 3])[2:3], array_agg(a ORDER BY a) FROM t GROUP BY a",
    "SELECT '{\"a\": 1}'::jsonb -> 'a', '{\"a\": 1}'::json ->> 'a', jsonb_build_object('a', 1)",
    "SELECT * FROM jsonb_each('{\"a\": 1}'), jsonb_to_record('{\"b\": 2}') AS x(b int)",
    "SELECT json_agg(t), max(row_to_json(t)::text) FROM t",
    "SELECT r.a, (r).a, r FROM t r",
    "SELECT * FROM JSON_TABLE('[1]'::jsonb, '$[*]' COLUMNS (a int PATH '$')) j",
    "SELECT to_tsvector('english', 'cats') @@ to_tsquery('cat'), ts_rank(to_tsvector('a'), to_tsquery('a'))",
    "SELECT corr(a, a), regr_slope(a, a), mode() WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT * FROM information_schema.columns WHERE table_name = 't'",
    "SELECT relname, reltuples FROM pg_class WHERE relname = 't'",
    "SELECT pg_size_pretty(pg_total_relation_size('t')), pg_relation_size('t'::regclass)",
    "SELECT version(), current_user, current_database(), current_setting('server_version'), current_schemas(true)",
    "SELECT has_table_privilege('t', 'SELECT'), pg_get_viewdef('v'::regclass), obj_description('t'::regclass)",
    "SELECT * FROM v",
    "SELECT 'sunny'::mood, ROW(1, NULL, NULL)::pair, NULL::t, 5::positive_free",
    "SELECT * FROM t TABLESAMPLE BERNOULLI (50) REPEATABLE (1)",
    "SELECT 1::numeric(10, 2), '1'::int, CAST('2013-01-01' AS date), '1 day'::interval, '{1}'::int[]",
    "SELECT point(1, 2) <-> point(3, 4), '10.0.0.1'::inet << '10.0.0.0/8', int4range(1, 5) @> 3",
    "SELECT 'ä' COLLATE \"C\" < 'b', B'101', X'1F', U&'\\0061', E'\\n', $$dollar$$",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM t",
    "SHOW work_mem",
    # what tools send
    "SELECT c.relname, c.relkind, n.nspname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n "
    "ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname !~ '^pg_toast' "
    "AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1, 2",
    "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, "
    "d.adrelid, true) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), "
    "a.attnotnull, a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = 't'::regclass "
    "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    "SELECT c2.relname, i.indisprimary, i.indisunique, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), "
    "pg_catalog.pg_get_constraintdef(con.oid, true) FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, "
    "pg_catalog.pg_index i LEFT JOIN pg_catalog.pg_constraint con ON conrelid = i.indrelid AND conindid = i.indexrelid "
    "WHERE c.oid = i.indrelid AND i.indexrelid = c2.oid",
    "SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding) "
    "FROM pg_catalog.pg_database d ORDER BY 1",
    "SELECT r.rolname, r.rolsuper, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles b "
    "ON (m.roleid = b.oid) WHERE m.member = r.oid) AS memberof FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_'",
    "SELECT table_schema, table_name, table_type FROM information_schema.tables",
    "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns "
    "WHERE table_schema = 'public' ORDER BY ordinal_position",
    "SELECT tc.constraint_name, kcu.column_name FROM information_schema.table_constraints tc JOIN "
    "information_schema.key_column_usage kcu USING (constraint_name) WHERE tc.constraint_type = 'PRIMARY KEY'",
    "SELECT schemaname, tablename, attname, n_distinct FROM pg_stats WHERE tablename = 't'",
    "SELECT relname, n_live_tup, last_autovacuum FROM pg_stat_user_tables",
    "SELECT pid, state, query FROM pg_stat_activity",
    "SELECT locktype, mode FROM pg_locks",
    "SELECT name, setting, unit FROM pg_settings WHERE name LIKE 'work%'",
    "SELECT extname, extversion FROM pg_extension",
    "SELECT proname, pg_get_function_identity_arguments(oid) FROM pg_proc WHERE proname = 'f'",
    "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'f'",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT t.typname, e.enumlabel FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid ORDER BY e.enumsortorder",
    "SELECT pg_catalog.col_description('t'::regclass, 1), shobj_description(1, 'pg_database')",
    "SELECT has_schema_privilege('public', 'USAGE'), has_database_privilege(current_database(), 'CONNECT')",
    "SELECT pg_encoding_to_char(6), pg_client_encoding(), inet_server_port(), pg_backend_pid()",
    "SELECT pg_is_in_recovery(), pg_postmaster_start_time(), txid_current_if_assigned()",
    "SELECT to_regclass('t'), 't'::regclass::oid, 'int4'::regtype, format_type(23, NULL)",
    "SELECT * FROM pg_partition_tree('t')",
    "SHOW ALL",
    "SHOW server_version",
    "SHOW TIME ZONE",
    "EXPLAIN (COSTS, VERBOSE, SETTINGS, WAL OFF, TIMING OFF, SUMMARY) SELECT count(*) FROM t",
    "EXPLAIN (FORMAT YAML) VALUES (1)",
    # business intelligence
    "SELECT a, sum(a) OVER (ORDER BY a ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS moving FROM t",
    "SELECT a, sum(a) OVER (ORDER BY a RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t",
    "SELECT a, ntile(4) OVER w, percent_rank() OVER w, cume_dist() OVER w, first_value(a) OVER w, nth_value(a, 2) "
    "OVER w FROM t WINDOW w AS (ORDER BY a)",
    "SELECT a % 2 AS parity, count(*) FILTER (WHERE a > 1), bool_and(a > 0), every(a > 0) FROM t GROUP BY CUBE (a % 2)",
    "SELECT a % 2, a % 3, count(*), grouping(a % 2) FROM t GROUP BY ROLLUP (a % 2, a % 3)",
    "SELECT percentile_disc(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT regr_r2(a, a), regr_intercept(a, a), covar_pop(a, a), var_samp(a), stddev_pop(a) FROM t",
    "SELECT date_trunc('week', d) AS week, count(*) FROM generate_series('2024-01-01'::date, '2024-03-01', '1 day') d "
    "GROUP BY 1 ORDER BY 1",
    "SELECT date_bin('15 minutes', now(), '2001-01-01'), extract(epoch FROM now() - interval '1 hour')",
    "SELECT to_timestamp(0), to_date('2024-01-01', 'YYYY-MM-DD'), make_interval(days => 3), justify_days('40 days')",
    "SELECT (date '2024-01-01', date '2024-02-01') OVERLAPS (date '2024-01-15', date '2024-03-01')",
    "SELECT isfinite('infinity'::date), date_part('doy', now()), timezone('UTC', now()), now()::time",
    "SELECT a, lead(a, 1, 0) OVER (ORDER BY a) - a AS step FROM t",
    "SELECT * FROM (SELECT a, row_number() OVER (PARTITION BY a % 2 ORDER BY a DESC) AS rn FROM t) x WHERE rn = 1",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b",
    "WITH RECURSIVE tree(id, path) AS (SELECT 1, ARRAY[1] UNION ALL SELECT id + 1, path || (id + 1) FROM tree "
    "WHERE id < 3) SEARCH DEPTH FIRST BY id SET o CYCLE id SET c USING p SELECT * FROM tree",
    "SELECT t.*, x.* FROM t CROSS JOIN LATERAL (VALUES (t.a), (t.a * 2)) AS x(b)",
    "SELECT * FROM t FULL OUTER JOIN t u USING (a) NATURAL JOIN t v",
    "SELECT a FROM t WHERE (a, a) IN (VALUES (1, 1), (2, 2)) AND a <> ALL (SELECT 3)",
    "SELECT a FROM t WHERE a = ANY ('{1,2}'::int[]) AND NOT a BETWEEN SYMMETRIC 9 AND 3",
    "SELECT CASE WHEN a > 1 THEN 'big' WHEN a IS NULL THEN 'none' END AS size, count(*) FROM t GROUP BY 1",
    "SELECT a FROM t ORDER BY CASE a WHEN 1 THEN 0 ELSE 1 END, a USING < FETCH FIRST 2 ROWS WITH TIES",
    "SELECT coalesce(sum(a), 0)::numeric(10, 2), round(avg(a), 2), trunc(1.999, 1), mod(5, 3), div(7, 2) FROM t",
    "SELECT abs(-1), sign(-2), exp(1), log(10), log(2, 8), pi(), degrees(1), sin(1), atan2(1, 2), cbt FROM "
    "(SELECT cbrt(27) AS cbt) s",
    "SELECT gcd(12, 8), lcm(4, 6), factorial(5), scale(1.20), trim_scale(1.20), min_scale(1.20), to_hex(255)",
    "SELECT 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, 2 ^ 10, |/ 25, ||/ 27, @ -5, 5 % 3",
    # texts
    "SELECT initcap('a b'), lpad('1', 3, '0'), repeat('a', 2), reverse('ab'), translate('abc', 'ab', 'xy'), ascii('a')",
    "SELECT format('%s-%I-%L', 1, 'a b', 'c'), quote_ident('a b'), quote_literal('a'), concat_ws(',', 1, NULL, 2)",
    "SELECT regexp_matches('a1b2', '[0-9]', 'g'), regexp_split_to_array('a,b', ','), substring('a1' FROM '[0-9]')",
    "SELECT overlay('abc' PLACING 'x' FROM 2), strpos('abc', 'b'), left('abc', 2), right('abc', 2), starts_with('a', 'a')",
    "SELECT 'abc' ~ 'b', 'abc' !~* 'X', 'abc' ILIKE '%B%', 'a_c' LIKE 'a#_c' ESCAPE '#', 'abc' SIMILAR TO '(a|x)%'",
    "SELECT encode('abc', 'base64'), decode('616263', 'hex'), convert_from('abc', 'UTF8'), sha512('a'), get_byte('a', 0)",
    "SELECT normalize('é', NFD), 'é' IS NFC NORMALIZED, unistr('\\0061'), char_length('é'), octet_length('é')",
    "SELECT ts_headline('english', 'the cats', to_tsquery('cat')), plainto_tsquery('a b'), websearch_to_tsquery('a -b')",
    "SELECT setweight(to_tsvector('a'), 'A') || to_tsvector('b'), phraseto_tsquery('a b'), numnode('a & b'::tsquery)",
    # JSON, arrays, ranges, networks, geometry, XML
    "SELECT jsonb_path_query('{\"a\": [1, 2]}', '$.a[*] ? (@ > 1)'), '{\"a\": 1}'::jsonb @> '{\"a\": 1}'",
    "SELECT jsonb_agg(a ORDER BY a), jsonb_object_agg(a, a), json_build_array(1, 'a'), to_jsonb(t) FROM t GROUP BY t",
    "SELECT '{\"a\": {\"b\": 1}}'::jsonb #>> '{a,b}', '{\"a\": 1}'::jsonb - 'a', jsonb_set('{}', '{a}', '1'), "
    "jsonb_pretty('{}'), '{\"a\": 1}'::jsonb ? 'a', ('{\"a\": 1}'::jsonb)['a']",
    "SELECT * FROM jsonb_array_elements_text('[1, 2]') WITH ORDINALITY, jsonb_object_keys('{\"a\": 1}') k",
    "SELECT JSON_VALUE('{\"a\": 1}'::jsonb, '$.a'), JSON_QUERY('{\"a\": [1]}'::jsonb, '$.a'), "
    "JSON_EXISTS('{}'::jsonb, '$.a'), JSON_OBJECT('a': 1), JSON_ARRAY(1, 2), '1' IS JSON, JSON_SCALAR(1)",
    "SELECT array_length(ARRAY[1, 2], 1), cardinality(ARRAY[1]), array_position(ARRAY[1, 2], 2), ARRAY[1] || 2, "
    "ARRAY[1, 2] && ARRAY[2], array_remove(ARRAY[1], 1), array_to_string(ARRAY[1, 2], ','), (ARRAY[[1, 2], [3, 4]])[1][2]",
    "SELECT int4range(1, 5) * int4range(3, 9), lower(tsrange(NULL, now()::timestamp)), '[1,3]'::int4range -|- '[4,5]', "
    "daterange('2024-01-01', '2024-02-01') && daterange('2024-01-15', NULL), range_agg(r) FROM (SELECT '[1,2)'::int4range) "
    "AS s(r)",
    "SELECT '10.1.2.3/8'::inet, network('10.1.2.3/8'), host('10.1.2.3'::inet), masklen('10.0.0.0/8'), '::1'::inet > '1.1.1.1'",
    "SELECT circle(point(0, 0), 1) @> point(0, 0), area(box '((0,0),(1,1))'), lseg '((0,0),(1,1))' # lseg '((0,1),(1,0))'",
    "SELECT xmlelement(name a, xmlattributes(1 AS b), 'c'), xpath('/a/text()', '<a>b</a>'), xmlforest(1 AS x), "
    "xml_is_well_formed('<a/>'), xmlserialize(content '<a/>'::xml AS text), '<a/>'::xml IS DOCUMENT",
    "SELECT * FROM XMLTABLE('/r/x' PASSING ('<r><x><i>1</i></x></r>'::xml) COLUMNS i int PATH 'i', n FOR ORDINALITY)",
    "SELECT uuid '00000000-0000-0000-0000-000000000000', money '1.5' * 2, B'101' | B'010', bit_count(B'101')",
    "SELECT 'a'::\"char\", 'x'::name, 1::smallint, 1::bigint, 1.5::real, 'f'::bool, '1'::varchar(5), 'a'::bpchar",
    "SELECT num_nulls(1, NULL), pg_typeof(1), current_catalog, session_user, current_role, user, current_schema",
    'SELECT a AS "weird ""name"" ☃", t.a, public.t.a FROM public.t',
    "SELECT count(*) FROM ONLY t",
    "SELECT 1 FROM t WHERE EXISTS (SELECT FROM t)",
    "(SELECT 1 AS x ORDER BY 1) UNION ALL (SELECT 2 LIMIT 1) ORDER BY x DESC",
    "/* leading */ SELECT 1 -- trailing",
    "SELECT E'it''s \\n', $tag$a 'quoted' text; DROP TABLE t$tag$, U&'d\\0061t'",
]

# The database that attacks and reads are made for.
SETTING = (
    "CREATE TABLE t (a int)",
    "INSERT INTO t VALUES (1), (2)",
    "CREATE VIEW v AS SELECT a FROM t",
    "CREATE MATERIALIZED VIEW m AS SELECT a FROM t",
    "CREATE SEQUENCE s",
    "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (9); END'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    # Wherever one of these runs it writes a file in the server's directory, which READ ONLY does not stop.
    "CREATE FUNCTION trace() RETURNS bool LANGUAGE plpgsql AS "
    "$$BEGIN COPY (SELECT 1) TO PROGRAM 'cat >> trace'; RETURN true; END$$",
    "CREATE FUNCTION stable_f() RETURNS bool STABLE LANGUAGE plpgsql AS "
    "'BEGIN RETURN public.trace() AND pg_advisory_lock(5) IS NULL; END'",
    "CREATE FUNCTION of_row(t) RETURNS text STABLE LANGUAGE plpgsql AS "
    "'BEGIN PERFORM public.trace(); RETURN pg_read_file(''/etc/passwd''); END'",
    "CREATE FUNCTION op(int, int) RETURNS int STABLE LANGUAGE plpgsql AS "
    "'BEGIN PERFORM public.trace(); RETURN 1; END'",
    "CREATE OPERATOR <<<>>> (leftarg = int, rightarg = int, function = op)",
    "CREATE DOMAIN checked AS text CHECK (stable_f())",
    "CREATE TYPE of_checked AS (x checked)",
    "CREATE DOMAIN positive_free AS int",
    "CREATE TYPE mood AS ENUM ('sunny')",
    "CREATE TYPE pair AS (a int, b mood, c mood[])",
)
