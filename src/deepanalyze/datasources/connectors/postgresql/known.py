"""What the server's catalogue tells of functions, operators and types, and which of them are known to do no harm.

What the catalogue labels non-VOLATILE is harmless in pg_catalog itself; elsewhere the label is only its maker's word.
"""
# ruff: noqa: S608 - what is composed here is our own text

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from deepanalyze.datasources.connectors.postgresql.allowed import Allowed

_FIRST_USER_OID = 16384  # what PostgreSQL itself brings is below

# VOLATILE, yet they change nothing that outlives the query. pg_sleep ends with the statement's timeout.
_HARMLESS_WORDS = """
clock_timestamp timeofday random random_normal gen_random_uuid uuidv4 uuidv7 pg_sleep pg_sleep_for pg_sleep_until
pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size pg_database_size pg_tablespace_size
pg_is_in_recovery pg_jit_available pg_blocking_pids pg_safe_snapshot_blocking_pids current_query
pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn
pg_collation_actual_version pg_database_collation_actual_version pg_partition_tree pg_partition_ancestors
pg_sequence_last_value pg_xact_commit_timestamp pg_last_committed_xact pg_xact_status txid_status
pg_notification_queue_usage array_sample array_shuffle
"""
HARMLESS = frozenset(_HARMLESS_WORDS.split())
# Of trusted extensions.
MADE_UP = frozenset(
    {
        "gen_random_bytes",
        "gen_random_uuid",
        "gen_salt",
        "uuid_generate_v1",
        "uuid_generate_v1mc",
        "uuid_generate_v4",
    }
)
# VOLATILE, and what a statement that writes may need.
OF_SEQUENCES = frozenset({"nextval", "currval", "lastval"})
# Not VOLATILE, yet they read whatever relation or schema a text names, past an allow list of schemas.
_READS_BY_NAME_WORDS = """
table_to_xml table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema
schema_to_xml_and_xmlschema database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
"""
READS_BY_NAME = frozenset(_READS_BY_NAME_WORDS.split())
# Not VOLATILE, yet they run the code of whatever type their arguments name.
_RUNS_A_TYPE_WORDS = """
array_in array_recv domain_in domain_recv json_populate_record json_populate_recordset jsonb_populate_record
jsonb_populate_record_valid jsonb_populate_recordset multirange_in multirange_recv pg_input_error_info
pg_input_is_valid range_in range_recv record_in record_recv
"""
RUNS_A_TYPE = frozenset(_RUNS_A_TYPE_WORDS.split())
_TRUSTED_EXTENSIONS_WORDS = """
btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore intarray isn ltree pg_trgm pgcrypto seg unaccent
uuid-ossp vector
"""
TRUSTED_EXTENSIONS = frozenset(_TRUSTED_EXTENSIONS_WORDS.split())

LOOK_UP = f"""
WITH extension AS (
  SELECT d.classid, d.objid, e.extname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
)
SELECT 'function' AS kind, n.nspname AS schema, p.proname AS name, p.oid < {_FIRST_USER_OID} AS builtin,
       x.extname AS extension, p.provolatile = 'v' AS flagged,
       CASE WHEN p.pronargs < 1 OR p.pronargs - p.pronargdefaults > 1 THEN 'nothing'
            WHEN t.typtype IN ('c', 'd', 'p') OR p.provariadic <> 0 THEN 'row' ELSE 'value' END AS takes
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
LEFT JOIN extension x ON x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND x.objid = p.oid
WHERE p.proname = ANY (%(functions)s)
UNION ALL
SELECT 'operator', n.nspname, o.oprname, o.oid < {_FIRST_USER_OID}, x.extname, NOT EXISTS (
         SELECT FROM pg_catalog.pg_type b JOIN extension y
           ON y.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND y.objid = b.oid AND y.extname = x.extname
         WHERE b.oid IN (o.oprleft, o.oprright) AND b.typtype IN ('b', 'r')), 'nothing'
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN extension x ON x.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND x.objid = o.oid
WHERE o.oprname = ANY (%(operators)s)
UNION ALL
SELECT 'type', n.nspname, t.typname, t.oid < {_FIRST_USER_OID}, x.extname,
       NOT (t.oid < {_FIRST_USER_OID} OR t.typtype = 'e' OR coalesce(x.extname = ANY (%(trusted)s), false)
            OR t.typtype = 'c' AND NOT EXISTS (
               SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type b ON b.oid = a.atttypid
               LEFT JOIN pg_catalog.pg_type l ON l.oid = b.typelem
               LEFT JOIN extension z ON z.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND z.objid = b.oid
               WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND b.oid >= {_FIRST_USER_OID}
                 AND coalesce(l.typtype, b.typtype) <> 'e' AND NOT coalesce(z.extname = ANY (%(trusted)s), false))
            OR t.typtype = 'd' AND t.typbasetype < {_FIRST_USER_OID}
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
       OR EXISTS (
         SELECT FROM pg_catalog.pg_cast c LEFT JOIN extension y
           ON y.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND y.objid = c.castfunc
         WHERE c.casttarget = t.oid AND c.castfunc >= {_FIRST_USER_OID}
           AND NOT coalesce(y.extname = ANY (%(trusted)s), false)
           AND NOT EXISTS (
             SELECT FROM extension z JOIN pg_catalog.pg_type b ON b.oid = z.objid
             WHERE z.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND z.extname = y.extname
               AND z.objid IN (c.castsource, c.casttarget) AND b.typtype IN ('b', 'r'))),
       CASE WHEN t.typrelid <> 0 THEN 'nothing'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_type r
                         WHERE r.oid = t.typbasetype AND (r.typtype = 'd' OR r.typrelid <> 0))
              OR EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_type r ON r.oid = c.castsource
                         WHERE c.casttarget = t.oid AND r.typrelid <> 0) THEN 'row'
            ELSE 'value' END
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN extension x ON x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND x.objid = t.oid
WHERE t.typname = ANY (%(types)s)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """One overload of a function, one operator or one type as the catalogue has it.

    `flagged`: a VOLATILE function; a type that can run code of its maker when something is cast to it; an operator
    that no extension brings for a type of its own. (Such a type's own code runs already when its values are read.)
    `takes`: what alone a function can be called with, or a type be called with like a function, `type(x)`.
    """

    kind: str
    schema: str
    name: str
    builtin: bool
    extension: str | None
    flagged: bool
    takes: Literal["nothing", "value", "row"]  # a row among other values

    @property
    def from_system(self) -> bool:
        return self.builtin and self.schema in ("pg_catalog", "information_schema")

    @property
    def harmless(self) -> bool:
        if self.kind == "type":
            return not self.flagged
        trusted = self.from_system or self.extension in TRUSTED_EXTENSIONS
        if self.kind == "operator":
            return trusted or not self.flagged
        if self.from_system and self.name in RUNS_A_TYPE:
            return False
        return trusted and (not self.flagged or self.name in (HARMLESS if self.from_system else MADE_UP))


def look_up_parameters(names: Mapping[str, Iterable[str]], allowed: Allowed) -> Mapping[str, list[str]]:
    """For `LOOK_UP`."""
    wanted = {f"{kind}s": sorted(of_kind) for kind, of_kind in names.items()}
    return {**wanted, "trusted": sorted(TRUSTED_EXTENSIONS | allowed.extensions)}
