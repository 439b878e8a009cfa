"""What templates show for PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EXAMPLES: Sequence[Mapping[str, Any]] = (
    {
        "title": "User and password",
        "description": "A role that may only read; TLS is required unless the server is on this machine.",
        "config": {
            "host": "db.internal",
            "port": 5432,
            "database": "sales",
            "user": "analyst",
            "password": "the role's password",
        },
    },
    {
        "title": "Connection string",
        "description": "All in one; special characters in the password are %-encoded.",
        "config": {
            "connection_string": "postgresql://analyst:password@db.internal:5432/sales?sslmode=require"
        },
    },
    {
        "title": "Verified TLS",
        "description": "Also proves that the server is the one that was named. The certificate is the PEM text itself.",
        "config": {
            "host": "db.internal",
            "database": "sales",
            "user": "analyst",
            "password": "the role's password",
            "sslmode": "verify-full",
            "sslrootcert": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
        },
    },
)

SAMPLE_QUERIES: Sequence[Mapping[str, str]] = (
    {"title": "A look at a table", "sql": "SELECT * FROM sales.orders LIMIT 100"},
    {
        "title": "Totals by group",
        "sql": "SELECT region, count(*) AS orders, sum(amount) AS revenue FROM sales.orders "
        "GROUP BY region ORDER BY revenue DESC",
    },
    {
        "title": "By month",
        "sql": "SELECT date_trunc('month', ordered_at) AS month, sum(amount) AS revenue FROM sales.orders "
        "GROUP BY 1 ORDER BY 1",
    },
    {
        "title": "Two tables joined",
        "sql": "SELECT c.country, avg(o.amount) AS mean_amount FROM sales.orders o "
        "JOIN sales.customers c USING (customer_id) GROUP BY c.country",
    },
)

PATH_PATTERNS: Sequence[Mapping[str, str]] = (
    {"pattern": "sales.orders", "description": "A table or view of a schema."},
    {"pattern": "orders", "description": "A table that the search path finds."},
    {
        "pattern": 'hr."Weird Table"',
        "description": "Names with capitals, spaces or signs are quoted as in SQL.",
    },
)
