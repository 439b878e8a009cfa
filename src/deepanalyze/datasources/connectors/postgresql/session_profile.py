"""What generated code may say in a session of its own: reading, cursors, transactions that stay read-only, and a few
settings that protect nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import postgast
from google.protobuf.message import Message

from deepanalyze.datasources.connectors.postgresql.guard import READING, Kind, QueryProfile, refusal, sql_name

_pb = postgast.pg_query_pb2
_HOLD = 0x0020  # CURSOR_OPT_HOLD
_TRANSACTION_COMMANDS = frozenset(
    {
        _pb.TRANS_STMT_BEGIN,
        _pb.TRANS_STMT_START,
        _pb.TRANS_STMT_COMMIT,
        _pb.TRANS_STMT_ROLLBACK,
        _pb.TRANS_STMT_SAVEPOINT,
        _pb.TRANS_STMT_RELEASE,
        _pb.TRANS_STMT_ROLLBACK_TO,
    }
)
_ENDS = frozenset({_pb.TRANS_STMT_COMMIT, _pb.TRANS_STMT_ROLLBACK, _pb.TRANS_STMT_ROLLBACK_TO})
_MODES = frozenset({"transaction_isolation", "transaction_deferrable", "transaction_read_only"})
_SETTINGS = frozenset(
    {
        "application_name",
        "bytea_output",
        "client_encoding",
        "datestyle",
        "extra_float_digits",
        "intervalstyle",
        "search_path",
        "statement_timeout",
        "timezone",
    }
)
# In any other encoding the server might see quotes and backslashes where the guard sees letters.
_ENCODINGS = frozenset({"utf8", "unicode"})
_UNITS_MS = {"us": 0.001, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "": 1}
# Whole numbers: the server rounds fractions by rules of its own, and what becomes 0 is no limit at all.
_DURATION = re.compile(r"\s*([0-9]{1,12})\s*(us|ms|s|min|h|d|)\s*")


@dataclass(frozen=True, slots=True)
class SessionProfile(QueryProfile):
    """`schemas` bounds the search path where the source has an allow list."""

    statement_timeout_ms: float
    schemas: Collection[str] | None = None
    parts = READING

    def kind(self, root: Message, source: str) -> Kind:
        match type(root).__name__:
            case "TransactionStmt":
                _check_transaction(root, source)
                return "transaction"
            case "VariableSetStmt":
                self._check_setting(root, source)
                return "set"
            case "DeclareCursorStmt":
                if root.options & _HOLD:
                    raise refusal(source, "DECLARE … WITH HOLD", "such a cursor outlives its transaction")
                _check_select(root.query, "DECLARE", source)
                return "cursor"
            case "FetchStmt" | "ClosePortalStmt":
                return "cursor"
            case "PrepareStmt":
                _check_select(root.query, "PREPARE", source)
                return "prepare"
            case "ExecuteStmt":
                return "execute"
            case "DeallocateStmt":
                return "prepare"
            case "CopyStmt":
                _check_copy(root, source)
                return "copy"
        return QueryProfile.kind(self, root, source)

    def changes_path(self, root: Any) -> bool:
        """The end of a transaction takes back what was set in it."""
        if type(root).__name__ == "TransactionStmt":
            return root.kind in _ENDS
        return type(root).__name__ == "VariableSetStmt" and root.name.lower() == "search_path"

    def _check_setting(self, root: Any, source: str) -> None:
        name = root.name.lower()
        part = f"SET {root.name}"
        if root.kind == _pb.VAR_SET_MULTI:
            if name not in ("transaction", "session characteristics"):
                raise refusal(source, part, "only isolation level, READ ONLY and DEFERRABLE may be set")
            _check_modes(root.args, source)
            return
        if root.kind not in (_pb.VAR_SET_VALUE, _pb.VAR_SET_DEFAULT, _pb.VAR_RESET) or name not in _SETTINGS:
            raise refusal(
                source,
                part if root.name else "RESET ALL",
                f"only {', '.join(sorted(_SETTINGS))} may be set",
            )
        values = [_constant(arg) for arg in root.args]
        encodings = {str(value).lower().replace("-", "").replace("_", "") for value in values}
        if name == "client_encoding" and (not encodings or not encodings <= _ENCODINGS):
            raise refusal(source, part, "statements are read as UTF8, and only as that")
        if name == "statement_timeout":
            self._check_timeout(root, values, source)
        if name == "search_path" and self.schemas is not None:
            outside = [str(value) for value in values if str(value) not in self.schemas]
            if outside or root.kind != _pb.VAR_SET_VALUE:
                raise refusal(
                    source, part, f"this source is limited to the schemas {', '.join(self.schemas)}"
                )

    def _check_timeout(self, root: Any, values: list[Any], source: str) -> None:
        wanted = _milliseconds(values[0]) if len(values) == 1 else None
        if wanted is None or not 1 <= wanted <= self.statement_timeout_ms:
            raise refusal(
                source,
                "SET statement_timeout",
                f"it may only be lowered, to a whole number between 1 ms and {self.statement_timeout_ms:g} ms",
            )


def _check_transaction(root: Any, source: str) -> None:
    if root.kind not in _TRANSACTION_COMMANDS:
        raise refusal(source, "a two-phase transaction command", "it would outlive the session")
    if root.chain:
        raise refusal(source, "AND CHAIN", "begin the next transaction with BEGIN")
    _check_modes(root.options, source)


def _check_modes(options: Any, source: str) -> None:
    for option in options:
        element = option.def_elem
        if element.defname not in _MODES:
            continue  # a savepoint's name
        if element.defname == "transaction_read_only" and _constant(element.arg) != 1:
            raise refusal(source, "READ WRITE", "transactions stay read-only")


def _check_select(query: Any, command: str, source: str) -> None:
    inner = postgast.unwrap_node(query)
    if type(inner).__name__ != "SelectStmt":
        raise refusal(source, f"{command} of {sql_name(inner)}", "only reading statements are allowed")


def _check_copy(root: Any, source: str) -> None:
    if root.is_from:
        raise refusal(source, "COPY … FROM", "it writes")
    if root.is_program or root.filename:
        raise refusal(source, "COPY to a file or program", "only COPY … TO STDOUT stays in the session")
    if root.HasField("query"):
        _check_select(root.query, "COPY", source)


def _constant(node: Any) -> Any:
    """The value of a constant; None for anything else."""
    inner = postgast.unwrap_node(node)
    if type(inner).__name__ == "TypeCast":
        inner = postgast.unwrap_node(inner.arg)
    if type(inner).__name__ != "A_Const":
        return None
    for field in ("ival", "fval", "boolval", "sval"):
        if inner.HasField(field):
            value = getattr(inner, field)
            return getattr(value, field)
    return None


def _milliseconds(value: Any) -> float | None:
    found = _DURATION.fullmatch(str(value))
    return int(found[1]) * _UNITS_MS[found[2]] if found else None
