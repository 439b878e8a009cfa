"""What a text may say before a server sees it: statements that read, made of known parts only.

The server's READ ONLY transaction and the role's rights enforce; this is the check on top, for what they let through.
What the names in a statement may do is judged elsewhere (verdicts.py), by the server's own catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import postgast
from google.protobuf.message import DecodeError, Message

from deepanalyze.errors import InvalidRequest, QueryFailed, ReadOnlyViolation

MAX_SQL_BYTES = 100_000  # beyond it, hostile texts hold the parser for seconds
MAX_DEPTH = 4_000  # of tokens; some 20,000 overflow the stack of a thread
_HARMLESS_BYTES = 4_000

# What the tree of a reading statement may hold below its root.
_READING_WORDS = """
SelectStmt DefElem Alias RangeVar RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample
JoinExpr WithClause CommonTableExpr CTESearchClause CTECycleClause ResTarget SortBy WindowDef GroupingSet GroupingFunc
ColumnRef ColumnDef ParamRef A_Star A_Const A_Expr A_Indices A_Indirection A_ArrayExpr NamedArgExpr BoolExpr SubLink
CaseExpr CaseWhen CoalesceExpr MinMaxExpr RowExpr NullTest BooleanTest SQLValueFunction TypeCast TypeName
CollateClause FuncCall XmlExpr XmlSerialize JsonFormat JsonReturning JsonValueExpr JsonIsPredicate JsonBehavior
JsonOutput JsonArgument JsonFuncExpr JsonTablePathSpec JsonTable JsonTableColumn JsonKeyValue JsonParseExpr
JsonScalarExpr JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
JsonAggConstructor JsonObjectAgg JsonArrayAgg Integer Float Boolean String BitString List
"""
_WRITING_WORDS = """
InsertStmt UpdateStmt DeleteStmt MergeStmt MergeWhenClause OnConflictClause InferClause IndexElem MultiAssignRef
SetToDefault ReturningClause ReturningOption
"""
READING = frozenset(_READING_WORDS.split())
WRITING = frozenset(_WRITING_WORDS.split())
WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_SAMPLING = frozenset({"bernoulli", "system"})
_OPERATOR_KEYWORDS = frozenset({"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"})

Name = tuple[str | None, str]  # schema (None: the search path decides), name
Kind = Literal[
    "select", "explain", "show", "write", "transaction", "cursor", "prepare", "execute", "set", "copy"
]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that may be sent, without its final semicolon, and the names that the server has to know.

    `offset` is where `text` begins in what was given, in characters.
    """

    text: str
    kind: Kind
    offset: int = 0
    functions: frozenset[Name] = field(default=frozenset())
    operators: frozenset[Name] = field(default=frozenset())
    types: frozenset[Name] = field(default=frozenset())
    attributes: frozenset[str] = field(default=frozenset())
    """`x.name` calls a function `name(x)` where there is no such column."""
    relations: frozenset[Name] = field(default=frozenset())
    """Tables, views and, where no schema is given, perhaps names of WITH."""


class Profile(Protocol):
    """Which statements there may be, and of what parts."""

    parts: frozenset[str]

    def kind(self, root: Message, source: str) -> Kind:
        """Raises ReadOnlyViolation for a statement that is not of this profile."""


class QueryProfile:
    """One SELECT, VALUES or TABLE, EXPLAIN of these, or SHOW."""

    parts = READING

    def kind(self, root: Message, source: str) -> Kind:
        match type(root).__name__:
            case "SelectStmt":
                return "select"
            case "VariableShowStmt":
                return "show"
            case "ExplainStmt":
                inner = postgast.unwrap_node(root.query)
                if type(inner).__name__ == "SelectStmt":
                    return "explain"
                raise refusal(
                    source, f"EXPLAIN of {sql_name(inner)}", "only reading statements may be explained"
                )
        raise refusal(
            source, sql_name(root), "only SELECT, VALUES, TABLE, EXPLAIN of these and SHOW are allowed"
        )


class WriteProfile(QueryProfile):
    """The same, and one INSERT, UPDATE, DELETE or MERGE, for sources that are not read-only."""

    parts = READING | WRITING

    def kind(self, root: Message, source: str) -> Kind:
        if type(root).__name__ in WRITES:
            return "write"
        if type(root).__name__ == "ExplainStmt":
            if any(type(node).__name__ in WRITES for node in walk(root)):
                raise refusal(source, "EXPLAIN of a write", "only reading statements may be explained")
            return super().kind(root, source)
        if type(root).__name__ == "SelectStmt":
            return "write" if any(type(node).__name__ in WRITES for node in walk(root)) else "select"
        if type(root).__name__ == "VariableShowStmt":
            return "show"
        raise refusal(
            source,
            sql_name(root),
            "one SELECT, INSERT, UPDATE, DELETE or MERGE, EXPLAIN of a SELECT, and SHOW are allowed",
        )


QUERY, WRITE = QueryProfile(), WriteProfile()


def read_only_statement(sql: str, source: str) -> Statement:
    """The one statement of the `query` profile. Raises as `statements` does."""
    return one_statement(sql, source, QUERY)


def one_statement(sql: str, source: str, profile: Profile) -> Statement:
    found = statements(sql, source, profile)
    if len(found) != 1:
        raise refusal(
            source, f"a text of {len(found) or 'no'} statements", "a query is exactly one statement"
        )
    return found[0]


def statements(sql: str, source: str, profile: Profile) -> tuple[Statement, ...]:
    """Raises ReadOnlyViolation naming the part at fault, QueryFailed (42601) for what is no SQL, InvalidRequest."""
    tree, encoded = _parse(sql, source)
    return tuple(_statement(raw, encoded, source, profile) for raw in tree.stmts)


def _statement(raw: Any, encoded: bytes, source: str, profile: Profile) -> Statement:
    start: int = raw.stmt_location
    end = start + raw.stmt_len if raw.stmt_len else len(encoded)
    root = postgast.unwrap_node(raw.stmt)
    kind = profile.kind(root, source)
    names = _Names()
    for node in walk(root):
        if node is not root:
            _check_node(node, source, profile.parts)
        names.collect(node)
    return Statement(
        text=encoded[start:end].decode(),
        kind=kind,
        offset=len(encoded[:start].decode()),
        functions=frozenset(names.functions),
        operators=frozenset(names.operators),
        types=frozenset(names.types),
        attributes=frozenset(names.attributes),
        relations=frozenset(names.relations),
    )


def _parse(sql: str, source: str) -> tuple[postgast.ParseResult, bytes]:
    try:
        encoded = sql.encode()
    except UnicodeEncodeError:
        raise InvalidRequest("the query holds characters that are not valid Unicode", param="query") from None
    if b"\x00" in encoded:
        raise InvalidRequest("the query holds a NUL character", param="query")
    if len(encoded) > MAX_SQL_BYTES:
        raise InvalidRequest(
            f"the query has {len(encoded)} bytes, the limit is {MAX_SQL_BYTES}", param="query"
        )
    try:
        if len(encoded) > _HARMLESS_BYTES and _depth(sql) > MAX_DEPTH:
            raise _too_deep()
        return postgast.parse(sql), encoded
    except postgast.PgQueryError as error:
        details = {
            "sqlstate": "42601",
            "message": error.message,
            "detail": None,
            "hint": None,
            "position": error.cursorpos or None,  # in characters, as the server counts
        }
        raise QueryFailed(
            f"source {source!r}: the query failed (42601): {error.message}", param="query", details=[details]
        ) from None
    except (DecodeError, RecursionError):
        raise _too_deep() from None


def _depth(sql: str) -> int:
    """No less than how deep the tree of what chains to the left (`1+1+…`, `a::b::…`) will be, where that is much.

    The parser itself bounds all other nesting, but follows such chains by recursion in C, which would end the process.
    """
    tokens = postgast.pg_query_pb2.Token
    opening, closing = {tokens.ASCII_40, tokens.ASCII_91}, {tokens.ASCII_41, tokens.ASCII_93}
    flat = {tokens.ASCII_44, tokens.AND, tokens.OR, tokens.WHEN}
    outer: list[tuple[int, int, int]] = []
    length = below = deepest = 0  # of this chain; of the brackets in it; of all chains between these brackets
    for token in postgast.scan(sql).tokens:
        if token.token in opening:
            outer.append((length, below, deepest))
            length = below = deepest = 0
        elif token.token in closing and outer:
            inside = max(deepest, length + below)
            length, below, deepest = outer.pop()
            below = max(below, inside)
        elif token.token in flat:
            deepest = max(deepest, length + below)
            length = below = 0
        else:
            length += 1
    return max(deepest, length + below)


def _too_deep() -> InvalidRequest:
    return InvalidRequest("the query is nested too deeply; split it with WITH", param="query")


def walk(root: Message) -> Iterator[Message]:
    """Every message below `root`, also inside nested lists and what other messages hold directly."""
    stack = [root]
    while stack:
        node = postgast.unwrap_node(stack.pop())
        yield node
        for descriptor, value in node.ListFields():
            if descriptor.message_type is not None:
                stack.extend([value] if isinstance(value, Message) else value)


def _check_node(node: Message, source: str, parts: frozenset[str]) -> None:
    kind = type(node).__name__
    if kind == "IntoClause":
        raise refusal(source, "SELECT INTO", "it makes a table")
    if kind == "LockingClause":
        raise refusal(source, "FOR UPDATE/SHARE", "it locks rows")
    if kind not in parts and not (kind == "Node" and not node.ListFields()):
        raise refusal(source, sql_name(node), "it does not only read")
    if kind == "RangeTableSample":
        method = _strings(node.method)
        if method[-1] not in _SAMPLING:
            raise refusal(source, f"TABLESAMPLE {'.'.join(method)}", "only BERNOULLI and SYSTEM are allowed")


class _Names:
    def __init__(self) -> None:
        self.functions: set[Name] = set()
        self.operators: set[Name] = set()
        self.types: set[Name] = set()
        self.attributes: set[str] = set()
        self.relations: set[Name] = set()

    def collect(self, node: Message) -> None:
        match type(node).__name__:
            case "FuncCall":
                self.functions.add(_name(node.funcname))
            case "RangeVar":
                self.relations.add((node.schemaname or None, node.relname))
            case "A_Expr":
                self._operator(node.name)
            case "SubLink":
                self._operator(node.oper_name)
            case "SortBy":
                self._operator(node.use_op)
            case "TypeName":
                if node.names:
                    self.types.add(_name(node.names))
            case "ColumnRef":
                self.attributes.update(_strings(node.fields)[1:])
            case "A_Indirection":
                self.attributes.update(_strings(node.indirection))

    def _operator(self, nodes: Any) -> None:
        parts = _strings(nodes)
        if parts and parts[-1] not in _OPERATOR_KEYWORDS:
            self.operators.add(_name(nodes))


def _strings(nodes: Any) -> list[str]:
    return [node.string.sval for node in nodes if node.HasField("string")]


def _name(nodes: Any) -> Name:
    parts = _strings(nodes)
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def sql_name(node: Message) -> str:
    """`InsertStmt` as people write it: INSERT."""
    known = {
        "TransactionStmt": "COMMIT, ROLLBACK or another transaction command",
        "VariableSetStmt": "SET or RESET",
        "CreateTableAsStmt": "CREATE TABLE AS",
        "CallStmt": "CALL",
        "DoStmt": "DO",
    }
    kind = type(node).__name__
    words = "".join(f" {c}" if c.isupper() else c for c in kind.removesuffix("Stmt")).strip().upper()
    return known.get(kind, words)


def refusal(source: str, part: str, why: str, remedy: str = "") -> ReadOnlyViolation:
    """`remedy` is what an administrator could allow."""
    return ReadOnlyViolation(
        f"source {source!r} is read-only: {part} is refused; {why}{'; ' + remedy if remedy else ''}",
        param="query",
        details=[{"part": part, "reason": why, "remedy": remedy or None}],
    )
