"""Tables for the tests of discovery."""

from __future__ import annotations

from typing import Any

FLIGHTS = (
    "CREATE TABLE planes (tailnum text PRIMARY KEY, seats int CHECK (seats > 0), UNIQUE (tailnum, seats))",
    "COMMENT ON TABLE planes IS 'Every plane'",
    "CREATE TABLE flights (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tailnum text NOT NULL REFERENCES planes "
    "ON UPDATE CASCADE ON DELETE SET NULL, delay numeric(6,2) DEFAULT 0)",
    "COMMENT ON COLUMN flights.delay IS 'minutes'",
    "CREATE INDEX flights_by_plane ON flights (lower(tailnum), delay DESC)",
    "CREATE VIEW late AS SELECT * FROM flights WHERE delay > 0",
    "CREATE MATERIALIZED VIEW worst AS SELECT max(delay) FROM flights",
    "INSERT INTO planes SELECT 'N' || n, n FROM generate_series(1, 500) n",
    "ANALYZE planes",
    "CREATE SCHEMA hidden",
    "CREATE TABLE hidden.secret (a int)",
    "CREATE TABLE closed (a int)",
    "REVOKE ALL ON closed FROM analyst",
    "GRANT SELECT ON worst TO analyst",
)

PARTITIONED = (
    "CREATE TABLE sales (day date NOT NULL, shop int, amount int, PRIMARY KEY (day, shop)) PARTITION BY RANGE (day)",
    "CREATE TABLE sales_2023 PARTITION OF sales FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
    "CREATE TABLE sales_2024 PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') "
    "PARTITION BY LIST (shop)",
    "CREATE TABLE sales_2024_a PARTITION OF sales_2024 FOR VALUES IN (1, 2)",
    "CREATE TABLE sales_2024_b PARTITION OF sales_2024 DEFAULT",
    "INSERT INTO sales SELECT date '2023-06-01' + n, n % 4, n FROM generate_series(1, 500) n",
    "ANALYZE",
    "CREATE TABLE notes (day date, shop int, FOREIGN KEY (day, shop) REFERENCES sales)",
)


def by_name(rows: Any) -> dict[str, Any]:
    return {row["name"]: row for row in rows}
