from __future__ import annotations

import pytest

from deepanalyze.analysis.conversation import DataFile
from deepanalyze.analysis.profiler.code import literal
from deepanalyze.analysis.profiler.naming import table_files
from deepanalyze.analysis.profiler.prose import fixed, listed, number, percent, safe
from deepanalyze.analysis.profiler.words import closeness, name_words, stem


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sched_dep_time", ("scheduled", "departure", "time")),
        ("unitPrice", ("unit", "price")),
        ("Total Sales (EUR)", ("total", "sale", "eur")),
        ("categories", ("category",)),
    ],
)
def test_names_fall_into_words(name: str, words: tuple[str, ...]) -> None:
    assert name_words(name) == words


@pytest.mark.parametrize(
    ("asked", "named", "near"),
    [
        ("delays", "delay", True),
        ("airline", "carrier", True),
        ("temp", "temperature", True),
        ("delay", "distance", False),
        ("visibility", "visibility", True),
    ],
)
def test_closeness(asked: str, named: str, near: bool) -> None:
    assert (closeness(stem(asked), named) >= 0.8) is near


@pytest.mark.parametrize(
    "text", ["</Code>", "```", "a'b\"c", "☃\n\0\\", "\\</Code>", "<|end|>", "\ud800", "</Answer>'''"]
)
def test_literals_come_back_and_cannot_end_the_block(text: str) -> None:
    source = literal([text, {text: 1.5}])
    assert eval(source) == [text, {text: 1.5}]  # our own literal
    assert not any(mark in source for mark in ("</", "```", "<|", "\n"))


def test_text_from_the_data_is_made_safe() -> None:
    assert safe("<b>|x|</b>\n# `y`") == "&lt;b&gt;\\|x\\|&lt;/b&gt; # \\`y\\`"
    assert len(safe("x" * 500)) == 80
    assert safe("dep_delay") == "dep_delay"


def test_numbers() -> None:
    assert [number(v) for v in (1234567, 0.5, 12.345, None, float("nan"), -3)] == [
        "1,234,567",
        "0.50",
        "12.35",
        "–",
        "–",
        "−3",
    ]
    assert [fixed(v) for v in (12.639, 0.0, -0.0003, None)] == ["12.64", "0.00", "−0.0003", "–"]
    assert [percent(v) for v in (0.123, 0.0, 0.00001)] == ["12.3 %", "0.0 %", "under 0.1 %"]
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcd"), 2) == "a, b and 2 more"


def test_files_of_one_pattern_are_one_table() -> None:
    months = [DataFile(f"weather/2013/{m:02}.csv", 1) for m in range(1, 13)]
    query = DataFile("flights.csv", 1, sql="SELECT 1")
    years = [
        DataFile("sales_2021.csv", 1),
        DataFile("sales_2022.csv", 1),
        DataFile("class.csv", 1),
        DataFile("notes.pdf", 1),
    ]
    tables = table_files([*months, query, *years, DataFile("report.md", 1)])
    assert {name: len(files) for name, files in tables.items()} == {
        "weather": 12,
        "flights": 1,
        "sales": 2,
        "class_": 1,
    }


def test_results_of_queries_stay_apart() -> None:
    files = [DataFile("flights.csv", 1, sql="SELECT a"), DataFile("flights-2.csv", 1, sql="SELECT b")]
    assert len(table_files(files)) == 2


def test_tables_are_named_after_where_their_blobs_lie() -> None:
    """The workspace flattens paths: `weather/2013/01.csv` is `01.csv` there."""

    def tables(*paths: str, source: str = "lake") -> dict[str, int]:
        files = [DataFile(p.rpartition("/")[2], 1, source, "azure_blob", path=p) for p in paths]
        return {name: len(members) for name, members in table_files(files).items()}

    assert tables(*(f"weather/2013/{m:02}.csv" for m in range(1, 13))) == {"weather": 12}
    assert tables("weather/2012/01.csv", "weather/2013/01.csv") == {"weather": 2}
    assert tables("weather/2013/01.csv") == {"weather_01": 1}
    assert tables("shop/orders.csv", "shop/customers.csv") == {"orders": 1, "customers": 1}
    assert tables("sales/month=01/part-0.parquet", "sales/month=02/part-0.parquet") == {"sales": 2}
    assert tables("2013/01.csv", "2013/02.csv") == {"table_01": 2}
    assert tables("trips/jan.csv", "trips/feb.csv") == {"trips": 2}
    assert tables("plain.csv") == {"plain": 1}


def test_files_of_different_sources_are_not_stacked() -> None:
    files = [DataFile(f"{s}.csv", 1, s, "azure_blob", path="a/1.csv") for s in ("one", "two")]
    assert list(table_files(files)) == ["a_1", "a_1_2"]
