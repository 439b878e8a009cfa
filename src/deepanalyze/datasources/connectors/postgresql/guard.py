"""What a text may say before a server sees it: statements that read, made of known parts only.

The server's READ ONLY transaction and the role's rights enforce; this is the check on top, for what they let through.
What the names in a statement may do is judged elsewhere (verdicts.py), by the server's own catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import postgast
from google.protobuf.message import Message

from deepanalyze.datasources.connectors.postgresql.mentions import (
    WRITES,
    Mentions,
    Name,
    scoped,
    strings,
    walk,
)
from deepanalyze.datasources.connectors.postgresql.parsing import parse
from deepanalyze.errors import ReadOnlyViolation

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
SetToDefault ReturningClause ReturningOption MergeSupportFunc
"""
READING = frozenset(_READING_WORDS.split())
WRITING = frozenset(_WRITING_WORDS.split())
_SAMPLING = (["bernoulli"], ["system"], ["pg_catalog", "bernoulli"], ["pg_catalog", "system"])

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
    fields: frozenset[str] = field(default=frozenset())
    """Of both, see `Mentions`."""
    keywords: frozenset[str] = field(default=frozenset())
    """Functions that older servers would call where newer ones have syntax."""
    relations: frozenset[Name] = field(default=frozenset())
    targets: frozenset[Name] = field(default=frozenset())
    """Those of the relations that are written."""
    analyzes: bool = False
    """An EXPLAIN that runs what it explains."""
    changes_path: bool = False
    """After it, names without a schema may mean something else."""


class Profile(Protocol):
    """Which statements there may be, and of what parts."""

    parts: frozenset[str]

    def kind(self, root: Message, source: str) -> Kind:
        """Raises ReadOnlyViolation for a statement that is not of this profile."""

    def changes_path(self, root: Message) -> bool:
        """See `Statement`."""


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

    def changes_path(self, root: Message) -> bool:
        return False


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
    tree, encoded = parse(sql, source)
    return tuple(_statement(raw, encoded, source, profile) for raw in tree.stmts)


def _statement(raw: Any, encoded: bytes, source: str, profile: Profile) -> Statement:
    start: int = raw.stmt_location
    end = start + raw.stmt_len if raw.stmt_len else len(encoded)
    root = postgast.unwrap_node(raw.stmt)
    kind = profile.kind(root, source)
    names = Mentions()
    for node, hidden in scoped(root):
        if node is not root:
            _check_node(node, source, profile.parts)
        names.collect(node, hidden)
    return Statement(
        text=encoded[start:end].decode(),
        kind=kind,
        offset=len(encoded[:start].decode()),
        functions=frozenset(names.functions),
        operators=frozenset(names.operators),
        types=frozenset(names.types),
        attributes=frozenset(names.attributes),
        fields=frozenset(names.fields),
        keywords=frozenset(names.keywords),
        relations=frozenset(names.relations),
        changes_path=profile.changes_path(root),
        targets=frozenset(names.targets),
        analyzes=kind == "explain" and any(option.def_elem.defname == "analyze" for option in root.options),
    )


def _check_node(node: Message, source: str, parts: frozenset[str]) -> None:
    kind = type(node).__name__
    if kind == "IntoClause":
        raise refusal(source, "SELECT INTO", "it makes a table")
    if kind == "LockingClause":
        raise refusal(source, "FOR UPDATE/SHARE", "it locks rows")
    if kind not in parts and not (kind == "Node" and not node.ListFields()):
        raise refusal(source, sql_name(node), "it does not only read")
    if kind == "RangeTableSample":
        method = strings(node.method)
        if method not in _SAMPLING:
            raise refusal(source, f"TABLESAMPLE {'.'.join(method)}", "only BERNOULLI and SYSTEM are allowed")


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
        f"source {source!r}: {part} is refused; {why}{'; ' + remedy if remedy else ''}",
        param="query",
        details=[{"part": part, "reason": why, "remedy": remedy or None}],
    )
