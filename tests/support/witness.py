"""Everything that an attack could have left behind, seen by somebody else before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg

# One row: rows and objects of this database, then what belongs to the whole cluster.
_TRACES: LiteralString = """
SELECT (SELECT array_agg(a ORDER BY a) FROM t)::text,
       (SELECT count(*) FROM pg_class WHERE oid >= 16384), (SELECT count(*) FROM pg_proc WHERE oid >= 16384),
       (SELECT count(*) FROM pg_type WHERE oid >= 16384), (SELECT count(*) FROM pg_namespace),
       (SELECT last_value::text || is_called FROM s), (SELECT count(*) FROM pg_largeobject_metadata),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_prepared_xacts),
       (SELECT relacl::text FROM pg_class WHERE relname = 't'), obj_description('t'::regclass),
       (SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension),
       (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_event_trigger),
       (SELECT count(*) FROM pg_statistic_ext), (SELECT count(*) FROM pg_seclabel),
       (SELECT array_agg(r::text ORDER BY r.rolname) FROM pg_roles r),
       (SELECT count(*) FROM pg_auth_members), (SELECT array_agg(datname::text ORDER BY datname) FROM pg_database),
       (SELECT array_agg(spcname::text ORDER BY spcname) FROM pg_tablespace),
       (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin),
       (SELECT array_agg(s::text ORDER BY s::text) FROM pg_db_role_setting s),
       (SELECT md5(string_agg(name || setting, ',' ORDER BY name)) FROM pg_settings
        WHERE source NOT IN ('client', 'session') AND context <> 'internal'),
       (SELECT pg_read_file('postgresql.auto.conf')), pg_conf_load_time(), (pg_stat_file('trace', true)).size,
       (SELECT array_agg(f ORDER BY f) FROM pg_ls_dir('.') f WHERE f !~ '^(postmaster|pg_stat|base)')
"""
_FILES = (Path("/tmp/x"),)  # what the attacks try to write


@contextmanager
def witness(dsn: str) -> Iterator[None]:
    """Fails when anything has changed at the end of the block, or when a session that stood by was ended."""
    with psycopg.connect(dsn, autocommit=True) as bystander:
        before = _seen(bystander)
        yield
        after = _seen(bystander)
    changed = [(was, now) for was, now in zip(before, after, strict=True) if was != now]
    assert changed == []
    assert [path for path in _FILES if path.exists()] == []


def _seen(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row = connection.execute(_TRACES).fetchone()
    assert row is not None
    return row
