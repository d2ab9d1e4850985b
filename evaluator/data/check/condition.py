"""Condition: the SQL of an invariant, parsed by DuckDB and accepted only if it is a single plain expression.

An accepted condition is rewritten from its parse tree, so comments, quotes and brackets of the original have no effect.
Only the functions and types listed here are allowed: none reads a file, a setting, a clock or a random number, and none
produces values much longer than its arguments. Everything else is refused.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

from assay.evaluator.errors import DataError
from assay.manifests.contract import Invariant
from assay.manifests.contract_column import Column
from assay.manifests.errors import did_you_mean

FUNCTIONS = frozenset(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "^",
        "**",
        "||",
        "~~",
        "!~~",
        "~~*",
        "!~~*",
        "~~~",
        "regexp_full_match",
        "not_like_escape",
        "like_escape",
        "ilike_escape",
        "not_ilike_escape",
        "abs",
        "ceil",
        "ceiling",
        "floor",
        "round",
        "trunc",
        "sign",
        "sqrt",
        "cbrt",
        "ln",
        "log",
        "log2",
        "log10",
        "exp",
        "pow",
        "power",
        "greatest",
        "least",
        "mod",
        "isnan",
        "isinf",
        "isfinite",
        "length",
        "strlen",
        "len",
        "lower",
        "upper",
        "trim",
        "ltrim",
        "rtrim",
        "starts_with",
        "ends_with",
        "prefix",
        "suffix",
        "contains",
        "instr",
        "strpos",
        "position",
        "substring",
        "substr",
        "left",
        "right",
        "regexp_matches",
        "concat",
        "nullif",
        "ifnull",
        "year",
        "quarter",
        "month",
        "day",
        "dayofweek",
        "isodow",
        "dayofyear",
        "week",
        "hour",
        "minute",
        "second",
        "epoch",
        "date_part",
        "datepart",
        "date_diff",
        "datediff",
        "date_trunc",
        "to_days",
        "to_hours",
        "to_minutes",
        "to_seconds",
        "to_weeks",
        "to_months",
        "to_years",
        "jaro_winkler_similarity",
    ]
)
"""The scalar functions and operators that an invariant may call."""
TYPES = frozenset(
    [
        "boolean",
        "bool",
        "tinyint",
        "smallint",
        "integer",
        "int",
        "bigint",
        "hugeint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "float",
        "real",
        "double",
        "decimal",
        "numeric",
        "varchar",
        "text",
        "string",
        "date",
        "timestamp",
        "time",
        "interval",
        "int1",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
    ]
)
"""The types that an invariant may cast to."""
_CLASSES = frozenset(
    ["BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "TYPE"]
)
_OPERATORS = frozenset(f"OPERATOR_{name}" for name in ("NOT", "IS_NULL", "IS_NOT_NULL", "COALESCE", "NULLIF")) | {
    "COMPARE_IN",
    "COMPARE_NOT_IN",
}


@dataclass(frozen=True)
class Condition:
    """An invariant that may be evaluated.

    Attributes:
        invariant: The invariant.
        columns: The columns that it names, in the contract's order.
        sql: The expression, over columns called `c0`, `c1`, … by their place in the contract.
    """

    invariant: Invariant
    columns: tuple[str, ...]
    sql: str


def condition(invariant: Invariant, *, columns: tuple[Column, ...], connection: duckdb.DuckDBPyConnection) -> Condition:
    """Parses an invariant and rewrites it from its parse tree.

    Args:
        invariant: The invariant as written in the contract.
        columns: The contract's columns.
        connection: A locked connection; it parses the SQL and executes none of it.

    Raises:
        DataError: It is not a single expression over plain columns of the contract, or uses a function or type that
            is not listed.
    """
    try:
        return _condition(invariant, columns, connection)
    except RecursionError:
        raise _refused(invariant, "the condition is nested too deeply") from None


def _condition(invariant: Invariant, columns: tuple[Column, ...], connection: duckdb.DuckDBPyConnection) -> Condition:
    # The line break ends a trailing comment; SQL that closes our bracket leaves an unmatched one and cannot be parsed.
    tree = _parsed(invariant, f"SELECT (\n{invariant.sql}\n)", connection)
    statements = tree["statements"]
    if len(statements) != 1 or not _is_bare_select(statements[0]["node"]):
        raise _refused(invariant, "this is not a single condition")
    (root,) = statements[0]["node"]["select_list"]
    places = {column.name: at for at, column in enumerate(columns)}
    named: set[str] = set()
    for node in _nodes(root):
        _require_known(node, invariant)
        if node.get("class") == "COLUMN_REF":
            name = _column(node, invariant, columns)
            named.add(name)
            node["column_names"] = [f"c{places[name]}"]
    ((written,),) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchall()
    return Condition(
        invariant,
        tuple(column.name for column in columns if column.name in named),
        str(written).removeprefix("SELECT "),
    )


def _parsed(invariant: Invariant, sql: str, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    try:
        ((written,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    except duckdb.Error as error:
        raise _refused(invariant, f"this cannot be parsed as a condition ({_first_line(error)})") from None
    tree = json.loads(written)
    if tree["error"]:
        raise _refused(invariant, f"this cannot be parsed as a condition ({tree.get('error_message', '')})")
    return tree


def _is_bare_select(node: dict[str, Any]) -> bool:
    """Whether a statement is nothing but `SELECT (one expression)`."""
    empty = ("where_clause", "group_expressions", "group_sets", "having", "sample", "qualify", "modifiers")
    return (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not any(node.get(name) for name in empty)
        and not node.get("cte_map", {}).get("map")
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree, parents first."""
    if isinstance(tree, dict):
        yield tree
        for value in list(tree.values()):
            yield from _nodes(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)


def _require_known(node: dict[str, Any], invariant: Invariant) -> None:
    """Refuses a node whose kind, function or type is not listed."""
    kind = node.get("class")
    if kind is None:
        if str(node.get("type", "")).endswith("_NODE"):
            raise _refused(invariant, "a condition cannot contain a query")
        return
    if kind == "FUNCTION":
        name = node["function_name"].lower()
        is_plain = not (
            node.get("schema") or node.get("catalog") or node.get("filter") or node.get("distinct")
            or node.get("order_bys", {}).get("orders") or len(node.get("qualified_name", {}).get("path", [name])) != 1
        )  # fmt: skip
        if name not in FUNCTIONS or not is_plain:
            near = did_you_mean(name, sorted(FUNCTIONS))
            raise _refused(invariant, f"the function {name} may not be called", near)
    elif kind == "TYPE":
        name = node["type_name"].lower()
        if name not in TYPES or node.get("schema") or node.get("catalog"):
            raise _refused(invariant, f"values may not be cast to {name}", did_you_mean(name, sorted(TYPES)))
    elif kind not in _CLASSES or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
        names = {"SUBQUERY": "a query", "WINDOW": "a window over rows", "STAR": "*", "PARAMETER": "a parameter"}
        name = names.get(kind, str(node["type"] if kind == "OPERATOR" else kind).lower())
        raise _refused(invariant, f"a condition cannot contain {name}")


def _column(node: dict[str, Any], invariant: Invariant, columns: tuple[Column, ...]) -> str:
    name = ".".join(node["column_names"])
    names = [column.name for column in columns if column.role != "ignored"]
    if len(node["column_names"]) != 1 or name not in names:
        near = did_you_mean(name, names)
        raise _refused(invariant, f"the contract has no column '{name}', or ignores it", near)
    if next(column for column in columns if column.name == name).shape:
        raise _refused(invariant, f"'{name}' is a tensor; a condition can only use plain values")
    return name


def _refused(invariant: Invariant, problem: str, remedy: str = "") -> DataError:
    return DataError(
        problem,
        field=f"invariants.{invariant.name}",
        value=invariant.sql,
        bound="one condition over the columns of a row, in DuckDB's SQL",
        remedy=remedy,
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
