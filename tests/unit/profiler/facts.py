"""A made database of facts, as the loading rounds would have found them."""

from __future__ import annotations

from deepanalyze.analysis.profiler.facts import Column, Data, Hit, Link, Table


def table(name: str, rows: int, /, **kinds: str) -> Table:
    columns = tuple(
        Column(name, column, kind, distinct=min(rows, 20), low=0, high=9) for column, kind in kinds.items()
    )
    return Table(name, rows, columns, files=(f"{name}.csv",))


FLIGHTS = table(
    "flights", 1000,
    year="calendar", month="calendar", day="calendar", dep_time="clock", dep_delay="number",
    arr_delay="number", carrier="category",
    flight="id", tailnum="category", origin="category", dest="category", air_time="number",
    distance="number", hour="calendar",
    time_hour="date",
)  # fmt: skip
WEATHER = table(
    "weather", 200,
    origin="category", year="calendar", month="calendar", day="calendar", hour="calendar", temp="number",
    humid="number", precip="number",
    visib="number", time_hour="date",
)  # fmt: skip
AIRLINES = table("airlines", 16, carrier="category", name="category")
SUMMARY = table("summary", 16, carrier="category", flights="number", avg_dep_delay="number")

DATA = Data(
    {t.name: t for t in (SUMMARY, AIRLINES, FLIGHTS, WEATHER)},
    [
        Link("flights", "airlines", (("carrier", "carrier"),), 1000, 1000),
        Link("flights", "summary", (("carrier", "carrier"),), 1000, 1000),
        Link("flights", "weather", (("origin", "origin"), ("time_hour", "time_hour")), 995, 1000),
    ],
    [
        Hit("flights", "dest", "LAX", 50),
        Hit("flights", "origin", "JFK", 300),
        Hit("flights", "dest", "JFK", 1),
    ],
)
