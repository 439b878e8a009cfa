"""What the demo asks, and over which data."""

from __future__ import annotations

from typing import Any

from deepanalyze.cli.demo.sources import DATABASE, LAKE

QUESTION = "How do weather and carrier drive departure delays?"

CARRIERS_SQL = """
SELECT a.carrier, a.name AS airline, count(*) AS flights, count(DISTINCT f.tailnum) AS aircraft
FROM airlines AS a
JOIN flights AS f USING (carrier)
GROUP BY a.carrier, a.name
ORDER BY flights DESC
""".strip()

ALL_FLIGHTS = 400_000  # the table has 336,776 rows; the server's default would cut it at 10,000

REFERENCES: list[dict[str, Any]] = [
    {"source_id": DATABASE, "query": CARRIERS_SQL, "save_as": "carriers.csv"},
    {"source_id": DATABASE, "table": "flights", "max_rows": ALL_FLIGHTS},
    {"source_id": LAKE, "path": "weather/2013/*.csv"},
]
