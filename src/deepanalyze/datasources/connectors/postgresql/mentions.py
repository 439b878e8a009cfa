"""The names in a statement that the server will look up, also those that only its grammar implies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import postgast
from google.protobuf.message import Message

Name = tuple[str | None, str]  # schema (None: the search path decides), name

WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_pb = postgast.pg_query_pb2
_EQUALS: Name = (None, "=")
_BETWEEN = frozenset({"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"})
_COMPARISONS: tuple[Name, ...] = ((None, "<"), (None, "<="), (None, ">"), (None, ">="))
# Syntax that servers before version 16 or 17 do not have: they call a function of that name, if somebody made one.
_ONCE_CALLS = {
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "JsonObjectConstructor": "json_object",
    "JsonArrayConstructor": "json_array",
    "JsonObjectAgg": "json_objectagg",
    "JsonArrayAgg": "json_arrayagg",
    "MergeSupportFunc": "merge_action",
}
_TELLING_WORDS = """
FuncCall RangeVar A_Expr SubLink SortBy CaseExpr JoinExpr TypeName ColumnRef A_Indirection RangeFunction JsonFuncExpr
"""
_TELLING = WRITES | _ONCE_CALLS.keys() | frozenset(_TELLING_WORDS.split())
_JSON_QUERIES = {
    _pb.JSON_EXISTS_OP: "json_exists",
    _pb.JSON_QUERY_OP: "json_query",
    _pb.JSON_VALUE_OP: "json_value",
}


def walk(root: Message) -> Iterator[Message]:
    """Every message below `root`, also inside nested lists and what other messages hold directly."""
    for node, _ in scoped(root):
        yield node


def scoped(root: Message) -> Iterator[tuple[Message, frozenset[str]]]:
    """The same, each with the names of WITH that hide tables there."""
    stack: list[tuple[Message, frozenset[str]]] = [(root, frozenset())]
    while stack:
        node, hidden = stack.pop()
        if type(node) is _pb.Node and (which := node.WhichOneof("node")) is not None:
            node = getattr(node, which)
        yield node, hidden
        members = [each for each in node.ListFields() if each[0].message_type is not None]
        for descriptor, value in members:
            if descriptor.name == "with_clause":
                stack += _scopes_of(value, hidden)
                hidden = hidden.union(_cte_names(value))
        for descriptor, value in members:
            if descriptor.name == "with_clause":
                continue
            if isinstance(value, Message):
                stack.append((value, hidden))
            else:
                stack += [(each, hidden) for each in value]


def _cte_names(clause: Any) -> list[str]:
    return [each.common_table_expr.ctename for each in clause.ctes]


def _scopes_of(clause: Any, hidden: frozenset[str]) -> list[tuple[Message, frozenset[str]]]:
    """Each member of a WITH sees those before it, and with RECURSIVE all."""
    names = _cte_names(clause)
    return [
        (each, hidden.union(names if clause.recursive else names[:number]))
        for number, each in enumerate(clause.ctes)
    ]


class Mentions:
    """`attributes` are the `name` of `t.name`, which calls `name(t)` with a row where t has no such column; `fields`
    those of what may be no row at all, `(x).name`, which calls `name(x)` or casts to a type of that name.
    """

    def __init__(self) -> None:
        self.functions: set[Name] = set()
        self.operators: set[Name] = set()
        self.types: set[Name] = set()
        self.relations: set[Name] = set()
        self.targets: set[Name] = set()  # of the relations, those that are written
        self.keywords: set[str] = set()
        self._qualified: set[tuple[str, str]] = set()
        self._fields: set[str] = set()
        self._not_rows: set[str] = set()  # what calls in FROM are named; a scalar's "row" is the scalar
        self._anything_not_rows = False

    @property
    def fields(self) -> set[str]:
        return self._fields | {name for of, name in self._qualified if self._is_no_row(of)}

    @property
    def attributes(self) -> set[str]:
        return {name for of, name in self._qualified if not self._is_no_row(of)}

    def _is_no_row(self, alias: str) -> bool:
        return self._anything_not_rows or alias in self._not_rows

    def collect(self, node: Any, hidden: frozenset[str]) -> None:
        kind = type(node).__name__
        if kind not in _TELLING:
            return
        match kind:
            case "FuncCall":
                self.functions.add(_name(node.funcname))
            case "RangeVar":
                if node.schemaname or node.relname not in hidden:
                    self.relations.add((node.schemaname or None, node.relname))
            case "A_Expr":
                self._operator(node.name)
            case "SubLink":
                if node.oper_name:
                    self._operator(node.oper_name)
                elif node.sub_link_type == _pb.ANY_SUBLINK:
                    self.operators.add(_EQUALS)
            case "SortBy":
                self._operator(node.use_op)
            case "CaseExpr":
                if node.HasField("arg"):
                    self.operators.add(_EQUALS)
            case "JoinExpr":
                if node.is_natural or node.using_clause:
                    self.operators.add(_EQUALS)
            case "TypeName":
                if node.names:
                    self.types.add(_name(node.names))
            case "ColumnRef":
                if len(node.fields) > 1 and node.fields[-1].HasField("string"):
                    self._qualified.add((node.fields[-2].string.sval, node.fields[-1].string.sval))
            case "A_Indirection":
                self._fields.update(strings(node.indirection))
            case "RangeFunction":
                self._call_in_from(node)
            case "JsonFuncExpr":
                if node.op in _JSON_QUERIES:
                    self.keywords.add(_JSON_QUERIES[node.op])
            case _:
                if kind in _ONCE_CALLS:
                    self.keywords.add(_ONCE_CALLS[kind])
                if kind in WRITES:  # a name of WITH cannot be written to
                    self.targets.add((node.relation.schemaname or None, node.relation.relname))
                    self.relations |= self.targets

    def _call_in_from(self, node: Any) -> None:
        first = postgast.unwrap_node(node.functions[0].list.items[0])
        if node.HasField("alias"):
            self._not_rows.add(node.alias.aliasname)
        elif type(first).__name__ == "FuncCall":
            self._not_rows.add(strings(first.funcname)[-1])
        else:  # COALESCE and the like, which the server names by rules of its own
            self._anything_not_rows = True

    def _operator(self, nodes: Any) -> None:
        parts = strings(nodes)
        if parts and parts[-1] in _BETWEEN:
            self.operators.update(_COMPARISONS)
        elif parts:
            self.operators.add(_name(nodes))


def strings(nodes: Iterable[Any]) -> list[str]:
    return [node.string.sval for node in nodes if node.HasField("string")]


def _name(nodes: Iterable[Any]) -> Name:
    parts = strings(nodes)
    return (parts[-2] if len(parts) > 1 else None), parts[-1]
