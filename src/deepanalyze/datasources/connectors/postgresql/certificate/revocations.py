"""What everybody may do unless it is taken back, and what a credential that needs no guard must not."""

from __future__ import annotations

from typing import LiteralString

from psycopg.rows import dict_row

from deepanalyze.datasources.connectors.postgresql.connecting import Connection

# Of each thing what stands behind ON, as the server quotes it. An ACL that was never changed is NULL and stands for the
# default, which gives nobody but the owner a table, sequence, server or wrapper.
_HELD: LiteralString = """
SELECT why, thing, string_agg(DISTINCT privilege, ', ') AS privileges FROM (
    SELECT 1 AS rank, 'database' AS why, format('DATABASE %%I', d.datname) AS thing, a.privilege_type AS privilege
    FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type <> 'CONNECT'
    UNION ALL
    SELECT 2, 'schema', format('SCHEMA %%I', n.nspname), a.privilege_type
    FROM pg_namespace n, aclexplode(n.nspacl) a
    WHERE n.nspname !~ '^pg_' AND a.grantee = 0 AND a.privilege_type = 'CREATE'
    UNION ALL
    SELECT 3, 'table', format('TABLE %%I.%%I', n.nspname, c.relname), a.privilege_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (
        SELECT * FROM aclexplode(c.relacl) UNION ALL
        SELECT x.* FROM pg_attribute t, aclexplode(t.attacl) x WHERE t.attrelid = c.oid) a
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= 16384 AND n.nspname !~ '^pg_(toast|temp)'
      AND a.grantee = 0 AND a.privilege_type NOT IN ('SELECT', 'REFERENCES')
    UNION ALL
    SELECT 4, 'sequence', format('SEQUENCE %%I.%%I', n.nspname, c.relname), a.privilege_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    WHERE c.relkind = 'S' AND n.nspname !~ '^pg_(toast|temp)' AND a.grantee = 0 AND a.privilege_type <> 'SELECT'
    UNION ALL
    SELECT 5, 'server', format('FOREIGN SERVER %%I', s.srvname), a.privilege_type
    FROM pg_foreign_server s, aclexplode(s.srvacl) a WHERE a.grantee = 0
    UNION ALL
    SELECT 6, 'wrapper', format('FOREIGN DATA WRAPPER %%I', w.fdwname), a.privilege_type
    FROM pg_foreign_data_wrapper w, aclexplode(w.fdwacl) a WHERE a.grantee = 0
    UNION ALL
    SELECT 7, CASE WHEN p.oid < 16384 THEN 'large objects' WHEN e.oid IS NOT NULL THEN 'dblink' ELSE 'definer' END,
           %(routine)s || ' ' || p.oid::regprocedure::text, a.privilege_type
    FROM pg_proc p
    LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      AND d.refclassid = 'pg_extension'::regclass
    LEFT JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'dblink'
      AND p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u'),
         aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE a.grantee = 0 AND (e.oid IS NOT NULL
      OR (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
      OR (p.prosecdef AND p.oid >= 16384 AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)))
) held GROUP BY rank, why, thing ORDER BY rank, why, thing
"""
_WHY = {
    "database": "temporary tables and schemas; who else needs them is granted them by name",
    "schema": "everybody could make tables here (the default before PostgreSQL 15)",
    "table": "everybody could change what is in it",
    "sequence": "everybody could move it on",
    "server": "everybody could make tables that lead there",
    "wrapper": "everybody could make servers that lead elsewhere",
    "large objects": "large objects need no right of their own but these functions' (needs a superuser)",
    "definer": "runs with its owner's rights; grant it to those who are meant to call it",
    "dblink": "runs SQL in other databases; grant it to those who are meant to",
}


async def revocations(connection: Connection) -> list[str]:
    """In a transaction whose `search_path` is `pg_catalog`, so that the names are whole."""
    # Procedures came with 11
    routine = "ROUTINE" if connection.info.server_version >= 110_000 else "FUNCTION"
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_HELD, {"routine": routine})
        return [
            f"-- {_WHY[row['why']]}\nREVOKE {row['privileges']} ON {row['thing']} FROM PUBLIC;"
            for row in await cursor.fetchall()
        ]
