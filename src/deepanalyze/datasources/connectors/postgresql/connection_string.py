"""Connection strings and libpq's `options`, taken apart: what they may say, and nothing passed through unread."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import psycopg
from psycopg.conninfo import conninfo_to_dict

from deepanalyze.datasources.schema import FieldError

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

# What a connection string may say; the rest names files of the server or changes how the session behaves.
FROM_STRING = {
    "host": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
    "connect_timeout": "connect_timeout_s",
    "application_name": "application_name",
    "options": "options",
}
# Settings that change how a query is planned or shown, and nothing that protects.
_HARMLESS_OPTIONS_WORDS = """
cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction default_statistics_target
effective_cache_size effective_io_concurrency enable_bitmapscan enable_hashagg enable_hashjoin
enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin
enable_nestloop enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate
enable_partitionwise_join enable_seqscan enable_sort enable_tidscan extra_float_digits from_collapse_limit geqo
hash_mem_multiplier jit join_collapse_limit max_parallel_workers_per_gather min_parallel_index_scan_size
min_parallel_table_scan_size parallel_setup_cost parallel_tuple_cost plan_cache_mode random_page_cost search_path
seq_page_cost temp_buffers timezone work_mem
"""
_HARMLESS_OPTIONS = frozenset(_HARMLESS_OPTIONS_WORDS.split())
_ROUTING = re.compile(r"(endpoint|project)=[A-Za-z0-9._-]+")  # by which hosted poolers find the database
_PLAIN = re.compile(r"[ -\[\]-~]*")
_SETTING = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)=(?P<value>.*)", re.DOTALL)


def parse_connection_string(text: str) -> dict[str, Any]:
    """Its parts by our names. Raises FieldError without repeating any of it."""
    try:
        parts = conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        raise FieldError(
            "connection_string",
            "cannot be parsed; write postgresql://user:password@host:port/database (with special "
            "characters %-encoded) or key=value pairs",
        ) from None
    parts = {name: value for name, value in parts.items() if value not in (None, "")}
    unknown = sorted(parts.keys() - FROM_STRING.keys())
    if unknown:
        raise FieldError(
            "connection_string",
            f"may not set {', '.join(unknown)}; allowed are {', '.join(FROM_STRING)} "
            "(certificates go into sslrootcert, sslcert and sslkey)",
        )
    return {FROM_STRING[name]: _typed(name, str(value)) for name, value in parts.items()}


def check_options(text: str) -> None:
    """Raises ValueError for an option that might undo the protection, or that nobody knows.

    PostgreSQL ends words at white space whatever quotes are around it, and knows backslashes, which nothing here needs.
    """
    if not _PLAIN.fullmatch(text):
        raise ValueError(
            "options must be plain text without backslashes; search_path has a parameter of its own"
        )
    words = text.split()
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word = words.pop(0)
        elif word.startswith(("--", "-c")):
            word = word[2:]
        elif _ROUTING.fullmatch(word):
            continue
        _check_option(word)


def check_host(text: str) -> None:
    """Raises ValueError without repeating it: whoever puts a whole URI here has a password in it."""
    if text.startswith(("/", "@")):
        raise ValueError("is a Unix socket's directory; give it as socket_dir")
    if "," in text:
        raise ValueError("must name one host")
    if re.search(r"[\s/@\\?#=]", text):
        raise ValueError("must be a host's name or address alone; a whole URI goes into connection_string")


def _check_option(word: str) -> None:
    setting = _SETTING.fullmatch(word)
    name = setting["name"].lower().replace("-", "_") if setting else ""
    if name not in _HARMLESS_OPTIONS:
        raise ValueError(
            f"options may not set {name or 'anything but -c name=value'}: only settings that change how queries are "
            "planned (work_mem, jit, enable_…), search_path, timezone and extra_float_digits, and endpoint=… or "
            "project=… of hosted poolers",
        )


_CHECKS: Mapping[str, Callable[[str], None]] = {"host": check_host, "options": check_options}


def _typed(name: str, value: str) -> Any:
    if name == "port":
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
            raise FieldError("connection_string", "port must be a number from 1 to 65535, and only one")
        return int(value)
    if name == "connect_timeout":
        try:
            seconds = float(value)
        except ValueError:
            raise FieldError("connection_string", "connect_timeout must be a number of seconds") from None
        if not 0 < seconds <= 600:
            raise FieldError("connection_string", "connect_timeout must be above 0 and at most 600 seconds")
        return seconds
    if name == "sslmode" and value not in get_args(SslMode):
        raise FieldError("connection_string", f"sslmode must be one of {', '.join(get_args(SslMode))}")
    if name in _CHECKS:
        try:
            _CHECKS[name](value)
        except ValueError as error:
            raise FieldError("connection_string", f"{name}: {error}") from None
    return value
