"""What the catalogue is asked about a credential.

Rights are asked for every role that it is or may become (`me`): one that is not inherited is a `SET ROLE` away. All of
it works on PostgreSQL 10 and newer. `search_path` is `pg_catalog`, so that the names in the answers are whole.
"""

from __future__ import annotations

from typing import LiteralString

# The role itself comes first. A superuser may become everybody, which says nothing more.
ROLES: LiteralString = """
SELECT r.oid::int8 AS oid, r.rolname AS name, r.rolname = current_user AS itself, r.rolsuper AS superuser,
       r.rolbypassrls AS bypassrls, r.rolreplication AS replication, r.rolcreatedb AS createdb,
       r.rolcreaterole AS createrole
FROM pg_roles r
WHERE r.rolname = current_user
   OR (pg_has_role(r.oid, 'MEMBER') AND NOT (SELECT s.rolsuper FROM pg_roles s WHERE s.rolname = current_user))
ORDER BY itself DESC, name
"""
DATABASE: LiteralString = """
SELECT current_database() AS database, pg_is_in_recovery() AS standby,
       bool_or(has_database_privilege(role, current_database(), 'CREATE')) AS creates,
       bool_or(has_database_privilege(role, current_database(), 'TEMPORARY')) AS temporary,
       has_database_privilege(current_database(), 'TEMPORARY') AS itself_temporary,
       bool_or(has_function_privilege(role, 'lo_create(oid)', 'EXECUTE')) AS stores,
       has_function_privilege('lo_create(oid)', 'EXECUTE') AS itself_stores,
       (SELECT bool_or(has_function_privilege(p.oid, 'EXECUTE')) FROM pg_proc p
        WHERE p.proname = 'pg_terminate_backend' AND p.pronamespace = 'pg_catalog'::regnamespace) AS ends
FROM unnest(%(me)s::oid[]) role
"""
TABLES: LiteralString = """
SELECT schema, name, owned, writable FROM (
    SELECT n.nspname AS schema, c.relname AS name, c.relowner = ANY (%(me)s::oid[]) AS owned,
           EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role
                   WHERE has_table_privilege(role, c.oid, %(writes)s)
                      OR has_any_column_privilege(role, c.oid, 'INSERT, UPDATE')) AS writable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_(toast|temp)' AND c.oid >= 16384
) told WHERE owned OR writable ORDER BY 1, 2
"""
# The CASE keeps the server from asking it of what is no sequence, which is an error.
SEQUENCES: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_(toast|temp)' AND EXISTS (
    SELECT 1 FROM unnest(%(me)s::oid[]) role
    WHERE has_schema_privilege(role, n.oid, 'USAGE')
      AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(role, c.oid, 'USAGE, UPDATE') ELSE false END)
ORDER BY 1, 2
"""
SCHEMAS: LiteralString = """
SELECT n.nspname AS name, has_schema_privilege(n.oid, 'CREATE') AS itself FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role WHERE has_schema_privilege(role, n.oid, 'CREATE'))
ORDER BY 1
"""
# Whatever else has an owner, but what only exists for its sake: its default privileges and user mappings.
BELONGINGS: LiteralString = """
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS name FROM pg_shdepend d
WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = ANY (%(me)s::oid[]) AND d.deptype = 'o'
  AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND d.classid NOT IN ('pg_class'::regclass, 'pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
ORDER BY 1
"""
# A trigger's function runs for whoever can make a table to put it on.
DEFINERS: LiteralString = """
SELECT n.nspname AS schema, p.proname AS name, r.rolsuper AS superuser
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
WHERE p.prosecdef AND p.oid >= 16384 AND p.proowner <> ALL (%(me)s::oid[])
  AND p.prorettype <> 'event_trigger'::regtype AND (p.prorettype <> 'trigger'::regtype OR %(makes_tables)s)
  AND EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role
              WHERE has_schema_privilege(role, n.oid, 'USAGE') AND has_function_privilege(role, p.oid, 'EXECUTE'))
ORDER BY 1, 2
"""
DBLINK: LiteralString = """
SELECT n.nspname AS schema, p.proname AS name
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE e.extname = 'dblink' AND p.proname IN ('dblink', 'dblink_exec', 'dblink_connect', 'dblink_connect_u')
  AND EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role
              WHERE has_schema_privilege(role, n.oid, 'USAGE') AND has_function_privilege(role, p.oid, 'EXECUTE'))
ORDER BY 1, 2
"""
# Built in, not for everybody, and yet granted; what monitoring may call is told by that membership.
KEPT: LiteralString = """
SELECT DISTINCT p.proname AS name FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proacl IS NOT NULL
  AND p.proname NOT IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lo_open', 'lo_unlink', 'lowrite')
  AND NOT EXISTS (SELECT 1 FROM aclexplode(p.proacl) a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
  AND NOT has_function_privilege('pg_monitor', p.oid, 'EXECUTE')
  AND EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role WHERE has_function_privilege(role, p.oid, 'EXECUTE'))
ORDER BY 1
"""
# Since release 15.
PARAMETERS: LiteralString = """
SELECT DISTINCT a.privilege_type AS privilege, p.parname AS name FROM pg_parameter_acl p, aclexplode(p.paracl) a
WHERE a.grantee = 0 OR a.grantee = ANY (%(me)s::oid[]) ORDER BY 1, 2
"""
FOREIGN: LiteralString = """
SELECT s.srvname AS name FROM pg_foreign_server s
WHERE EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role WHERE has_server_privilege(role, s.oid, 'USAGE')) ORDER BY 1
"""
WRAPPERS: LiteralString = """
SELECT w.fdwname AS name FROM pg_foreign_data_wrapper w
WHERE EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role
              WHERE has_foreign_data_wrapper_privilege(role, w.oid, 'USAGE')) ORDER BY 1
"""
LANGUAGES: LiteralString = """
SELECT l.lanname AS name FROM pg_language l WHERE l.lanispl AND NOT l.lanpltrusted
  AND EXISTS (SELECT 1 FROM unnest(%(me)s::oid[]) role WHERE has_language_privilege(role, l.oid, 'USAGE')) ORDER BY 1
"""
CASTS: LiteralString = """
SELECT format_type(c.castsource, NULL) || ' to ' || format_type(c.casttarget, NULL) AS name FROM pg_cast c
WHERE c.castcontext = 'i' AND c.castfunc >= 16384 AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = c.castfunc AND d.deptype = 'e')
ORDER BY 1
"""
# Views and row-level policies that lead to functions or operators which users made.
VIEWS: LiteralString = """
SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid >= 16384 AND has_table_privilege(c.oid, 'SELECT') AND c.oid IN (
    SELECT coalesce(w.ev_class, p.polrelid) FROM pg_depend d
    LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass) AND d.refobjid >= 16384
      AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))
  AND c.relkind <> 'm'
ORDER BY 1, 2
"""
