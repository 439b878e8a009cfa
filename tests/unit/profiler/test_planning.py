"""What a question is taken to mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepanalyze.analysis.profiler.plan import Plan
from deepanalyze.analysis.profiler.planning import plan_for
from tests.unit.profiler.facts import DATA, FLIGHTS


def summary(plan: Plan) -> tuple[str, str, str | None, list[str]]:
    return plan.kind, plan.base.name, plan.target.name if plan.target else None, [g.name for g in plan.groups]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("average departure delay by carrier", ("aggregate", "flights", "dep_delay", ["carrier"])),
        ("What is the mean dep_delay per airline?", ("aggregate", "flights", "dep_delay", ["carrier"])),
        ("average arrival delay for each airline name", ("aggregate", "flights", "arr_delay", ["name"])),
        (
            "median distance by origin and carrier",
            ("aggregate", "flights", "distance", ["origin", "carrier"]),
        ),
        ("top 5 destinations by average arrival delay", ("top", "flights", "arr_delay", ["dest"])),
        ("which carrier has the longest air time?", ("top", "flights", "air_time", ["carrier"])),
        ("which airline has the most flights?", ("count", "flights", None, ["carrier"])),
        ("how many flights per carrier", ("count", "flights", None, ["carrier"])),
        ("how many flights were delayed more than 60 minutes?", ("count", "flights", None, [])),
        ("departure delay over time", ("trend", "flights", "dep_delay", [])),
        ("monthly average temperature", ("trend", "weather", "temp", [])),
        ("air time vs distance", ("relation", "flights", "air_time", ["distance"])),
        ("correlation between temperature and humidity", ("relation", "weather", "humid", ["temp"])),
        ("average delay by hour", ("aggregate", "flights", "dep_delay", ["hour"])),
        ("departure delay by day of the week", ("aggregate", "flights", "dep_delay", ["weekday"])),
        ("tell me about this data", ("overview", "flights", None, [])),
        ("", ("overview", "flights", None, [])),
        ("按航空公司的平均起飞延误", ("aggregate", "flights", "dep_delay", ["carrier"])),
        ("起飞延误的趋势", ("trend", "flights", "dep_delay", [])),
    ],
)
def test_plain_questions(question: str, expected: tuple[str, str, str | None, list[str]]) -> None:
    assert summary(plan_for(question, DATA)) == expected


@pytest.mark.parametrize(
    "question",
    [
        "How do weather and carrier drive departure delays?",
        "What effect do weather and carrier have on departure delays?",
        "impact of weather and carrier on the departure delay",
        "How is departure delay affected by weather and carrier?",
        "How does departure delay depend on weather and airline?",
        "天气和航空公司如何影响起飞延误？",
    ],
)
def test_drivers_in_many_words(question: str) -> None:
    plan = plan_for(question, DATA)
    assert plan.kind == "drivers"
    assert plan.target is not None
    assert plan.target.name == "dep_delay"
    assert {f.name for f in plan.drivers} == {"temp", "humid", "precip", "visib", "carrier"}
    assert {f.name for f in plan.controls} == {"hour", "month"}
    assert plan.label is not None
    assert plan.label.name == "name"
    assert plan.blocks == {"all of weather": ["temp", "humid", "precip", "visib"]}


def test_drivers_that_nobody_named() -> None:
    plan = plan_for("What drives the arrival delay?", DATA)
    assert plan.target is not None
    assert plan.target.name == "arr_delay"
    names = {f.name for f in plan.drivers}
    assert {"dep_delay", "carrier", "distance"} <= names
    assert not names & {"arr_delay", "flight", "time_hour", "dep_time"}


def test_a_topic_without_a_table_of_that_name() -> None:
    tables = {("obs" if n == "weather" else n): t for n, t in DATA.tables.items()}
    obs = replace(
        tables["obs"], name="obs", columns=tuple(replace(c, table="obs") for c in tables["obs"].columns)
    )
    links = [replace(li, one="obs") if li.one == "weather" else li for li in DATA.links]
    plan = plan_for(
        "how does weather drive departure delay", replace(DATA, tables={**tables, "obs": obs}, links=links)
    )
    assert {f.name for f in plan.drivers} == {"temp", "humid", "precip", "visib"}


def test_conditions() -> None:
    assert [
        c.words for c in plan_for("how many flights with distance over 1,000 to LAX?", DATA).conditions
    ] == [
        "distance is more than 1,000",
        "dest is LAX",
    ]
    assert [c.words for c in plan_for("how many flights from JFK", DATA).conditions] == ["origin is JFK"]
    assert [c.words for c in plan_for("how many flights to JFK", DATA).conditions] == ["dest is JFK"]
    assert [c.words for c in plan_for("average distance in March", DATA).conditions] == ["month is 3"]
    assert [c.operator for c in plan_for("flights with dep_delay at least 15", DATA).conditions] == [">="]


def test_top_numbers_and_directions() -> None:
    assert plan_for("top five carriers by distance", DATA).top == 5
    assert plan_for("bottom 3 carriers by distance", DATA).ascending
    assert plan_for("worst 4 destinations by arrival delay", DATA).top == 4


def test_unknown_words_are_told() -> None:
    assert plan_for("average foobar by carrier", DATA).unknown == ("foobar",)
    assert plan_for("average foobar by carrier", DATA).kind == "overview"


def test_the_larger_table_is_preferred_and_told() -> None:
    plan = plan_for("average departure delay by carrier", DATA)
    assert plan.base is FLIGHTS
    assert plan.notes == (
        "The numbers are computed from flights (1,000 rows), the more complete one, not from summary (16 rows).",
    )


def test_without_a_link_a_column_is_left_out_and_told() -> None:
    plan = plan_for("average departure delay by temperature", replace(DATA, links=()))
    assert plan.groups == ()
    assert "No key links temp to flights" in plan.notes[-1]


@pytest.mark.parametrize(
    "question",
    [
        "a" * 100_000,
        "\0\n" * 50,
        "how do and drive ?",
        "top by vs per",
        "average",
        "🙂 ☃ 平均",
        "(((",
        "drive " * 500,
    ],
)
def test_any_text_makes_a_plan(question: str) -> None:
    assert plan_for(question, DATA).base.rows
