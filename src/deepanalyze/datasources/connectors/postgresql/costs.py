"""What a query would cost, asked of the server's planner before the query runs."""

from __future__ import annotations

import json
from typing import Any

from deepanalyze.datasources.connectors.postgresql.wire import Wire
from deepanalyze.errors import QueryTooCostly


def check_cost(wire: Wire, select: str, limit: float, source: str) -> None:
    """In the worker thread. Raises QueryTooCostly with the plan's estimate. EXPLAIN runs nothing of the query but what
    the planner works out beforehand, as IMMUTABLE functions of constants.
    """
    (result, *_) = wire.ask(f"EXPLAIN (FORMAT JSON) {select}")
    plan: dict[str, Any] = json.loads(result.get_value(0, 0) or b"")[0]["Plan"]
    cost, rows, width = plan["Total Cost"], plan["Plan Rows"], plan["Plan Width"]
    if cost > limit:
        raise QueryTooCostly(
            f"source {source!r}: the server expects this query to cost {cost:,.0f}, the limit is {limit:,.0f} "
            f"(statement_cost_limit); it would give about {rows:,} rows. Filter by an indexed column or take fewer "
            "rows, or ask an administrator to raise the limit",
            param="query",
            details=[
                {
                    "total_cost": cost,
                    "limit": limit,
                    "estimated_rows": rows,
                    "estimated_bytes": rows * width,
                    "node": plan["Node Type"],
                }
            ],
        )
