"""Data sets with known truths: every kind of question gets the right numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepanalyze.analysis.conversation import DataFile
from tests.support.profiling import Bench


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Orders of customers: price drives revenue, discount lowers it a little, the weekday does nothing."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(7)
    n = 3000
    price = rng.gamma(3, 20, n).round(2)
    orders = pd.DataFrame({
        "order_id": np.arange(1, n + 1),
        "order_date": pd.date_range("2022-01-01", periods=n, freq="6h").strftime("%Y-%m-%d %H:%M:%S"),
        "customer_id": rng.integers(1, 201, n),
        "product": rng.choice(["Lamp", "Chair", "Desk", "Rug"], n, p=[0.4, 0.3, 0.2, 0.1]),
        "unit_price": price,
        "discount_pct": rng.choice([0, 5, 10, 20], n),
        "returned": rng.choice(["yes", "no"], n, p=[0.1, 0.9]),
    })  # fmt: skip
    orders["revenue_usd"] = (price * 3 * (1 - orders["discount_pct"] / 100) + rng.normal(0, 10, n)).round(2)
    orders.loc[orders.index[:25], "revenue_usd"] = np.nan
    orders.to_csv(folder / "orders.csv", index=False)
    customers = pd.DataFrame(
        {"id": np.arange(1, 201), "customer_name": [f"Customer {i}" for i in range(1, 201)]}
    )
    customers["region"] = np.where(
        customers["id"] % 4 == 0, "North", np.where(customers["id"] % 4 == 1, "South", "West")
    )
    customers.to_csv(folder / "customers.csv", index=False)
    return folder


def orders_of(shop: Path) -> pd.DataFrame:
    return pd.read_csv(shop / "orders.csv", parse_dates=["order_date"])


async def test_average_by_group(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "What is the average revenue by product?")
    assert not done.failed
    for product, mean in orders_of(shop).groupby("product")["revenue_usd"].mean().items():
        assert str(product) in done.answer
        assert f"{mean:,.2f}" in done.answer
    assert "25 rows have no `revenue_usd`" in done.answer
    assert "not a language model" in done.answer


async def test_average_by_group_of_another_file(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "average revenue per region")
    joined = orders_of(shop).merge(pd.read_csv(shop / "customers.csv"), left_on="customer_id", right_on="id")
    for mean in joined.groupby("region")["revenue_usd"].mean():
        assert f"{mean:,.2f}" in done.answer
    assert "many to one: every row found its partner" in done.answer


async def test_top_n(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "top 3 customers by total revenue")
    totals = orders_of(shop).groupby("customer_id")["revenue_usd"].sum().nlargest(4)
    for customer, total in list(totals.items())[:3]:
        assert f"Customer {customer} ({customer})" in done.answer
        assert f"{total:,.2f}" in done.answer
    assert f"{totals.iloc[3]:,.2f}" not in done.answer


async def test_bottom(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "Which product has the lowest average unit price?")
    means = orders_of(shop).groupby("product")["unit_price"].mean().sort_values()
    assert f"**{means.index[0]} ({means.iloc[0]:,.2f})" in done.answer


async def test_over_time(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "revenue over time")
    monthly = orders_of(shop).set_index("order_date")["revenue_usd"].resample("MS").sum()
    assert f"highest in **{monthly.idxmax():%Y-%m}** ({monthly.max():,.2f} USD)" in done.answer
    assert f"{monthly.iloc[0]:,.2f}" in done.answer


async def test_how_many_with_a_condition(bench: Bench, shop: Path) -> None:
    orders = orders_of(shop)
    done = await bench.ask(shop, "How many orders have a unit price over 100?")
    assert f"**{(orders['unit_price'] > 100).sum():,} rows** where unit_price is more than 100" in done.answer


async def test_how_many_of_a_value_by_group(bench: Bench, shop: Path) -> None:
    orders = orders_of(shop)
    done = await bench.ask(shop, "How many orders of Lamp per region?")
    regions = pd.read_csv(shop / "customers.csv").set_index("id")["region"]
    counts = orders[orders["product"] == "Lamp"]["customer_id"].map(regions).value_counts()
    for region, count in counts.items():
        assert f"| {region} | {count:,} |" in done.answer


async def test_relationship(bench: Bench, shop: Path) -> None:
    orders = orders_of(shop)
    done = await bench.ask(shop, "relationship between unit price and revenue")
    r = orders["unit_price"].corr(orders["revenue_usd"])
    assert f"r = {r:.3f}" in done.answer
    assert "strong positive" in done.answer
    assert "not proof of a cause" in done.answer


async def test_planted_driver_comes_first(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "What drives revenue?")
    study = done.result("study")
    drivers = study["drivers"]
    assert isinstance(drivers, dict)
    assert next(iter(drivers)) == "unit_price"
    assert drivers["unit_price"]["alone"] > 0.8
    assert drivers["product"]["alone"] < 0.01
    assert drivers["discount_pct"]["adds"] > drivers["product"]["adds"]
    assert "do not prove that one thing causes the other" in done.answer


async def test_relationship_between_two(bench: Bench, shop: Path) -> None:
    """The first one explains the second."""
    done = await bench.ask(shop, "correlation between unit price and revenue", ["orders.csv"])
    assert "`unit_price` explains" in done.answer


async def test_top_by_number_of_rows(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "top 2 products by number of orders", ["orders.csv"])
    counts = orders_of(shop)["product"].value_counts()
    told = " and ".join(f"{name} ({count:,})" for name, count in counts.head(2).items())
    assert f"The highest number of rows by `product`: **{told}**" in done.answer


async def test_worst_of_nothing(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "which product is the best?", ["orders.csv"])
    assert "does not say by which measure" in done.answer


async def test_what_is_true_is_counted(bench: Bench, tmp_path: Path) -> None:
    staff = pd.DataFrame(
        {
            "dept": ["HR", "IT", "IT", "HR"] * 5,
            "salary": range(50_000, 52_000, 100),
            "left": ["yes", "no"] * 10,
        }
    )
    staff.to_csv(tmp_path / "employees.csv", index=False)
    lookup = pd.DataFrame({"dept": ["HR", "IT"], "manager": ["Ann", "Bo"]})
    lookup.to_csv(tmp_path / "departments.csv", index=False)
    done = await bench.ask(tmp_path, "how many employees left?")
    assert "`employees` has **10 rows** where left is true (of 20 rows in all, 50.0 %)" in done.answer
    done = await bench.ask(tmp_path, "how many employees earn more than 51000?")
    assert "`employees` has **9 rows** where salary is more than 51,000" in done.answer
    done = await bench.ask(tmp_path, "how many employees earn more than 99000?")
    assert "The condition “more than 99000” fits no column and was left out." in done.answer
    done = await bench.ask(tmp_path, "average salary by dept")
    assert "for HR" in done.answer
    assert "Ann" not in done.answer


async def test_chinese_stores(bench: Bench, tmp_path: Path) -> None:
    sales = pd.DataFrame({"Store": ["North", "South"] * 10, "Revenue": range(20)})
    sales.to_csv(tmp_path / "sales.csv", index=False)
    done = await bench.ask(tmp_path, "请按门店统计总收入")
    assert "runs from **90** for North to **100** for South" in done.answer


async def test_chinese_question(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "按产品的平均价格是多少？")
    means = orders_of(shop).groupby("product")["unit_price"].mean()
    assert all(f"{mean:,.2f}" in done.answer for mean in means)


async def test_general_profile(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "Tell me about this data")
    assert not done.failed
    assert "`orders` (3,000 rows, 8 columns)" in done.answer
    assert "`revenue_usd`" in done.answer


async def test_unknown_column(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "average quuxiness by product")
    assert done.answer.startswith("<Answer>\nI found no column that fits “quuxiness”. The columns are:")
    assert "`unit_price`" in done.answer


async def test_follow_up_has_its_own_report(bench: Bench, shop: Path) -> None:
    first = await bench.ask(shop, "average revenue by product", ["orders.csv"])
    before = (shop / "report.md").read_text()
    second = await bench.ask(shop, "median unit price by product", ["orders.csv"], earlier=first.turns)
    medians = orders_of(shop).groupby("product")["unit_price"].median()
    assert all(f"{median:,.2f}" in second.answer for median in medians)
    assert "`report-2.md`" in second.answer
    assert (shop / "report.md").read_text() == before


async def test_report_embeds_its_charts(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "average revenue by product")
    for heading in (
        "## Answer",
        "## Charts",
        "## Method",
        "## Data quality",
        "## Caveats",
        "## Appendix: the data",
    ):
        assert heading in done.report
    links = [line.split("](")[1].rstrip(")") for line in done.report.splitlines() if line.startswith("![")]
    assert 2 <= len(links) <= 5
    assert all((shop / link).stat().st_size > 5000 for link in links)


async def test_truncation_is_told_first(bench: Bench, shop: Path) -> None:
    done = await bench.ask(
        shop, "average revenue by product", [DataFile("orders.csv", 1, rows=3000, truncated=True)]
    )
    assert done.answer.startswith("<Answer>\n**Truncated data:** orders.csv (3,000 rows) was cut off")
    assert "Truncated data" in done.report.split("## Answer")[0]


async def test_the_more_complete_table_is_used(bench: Bench, tmp_path: Path) -> None:
    whole = pd.DataFrame({"shop": ["a", "b"] * 500, "amount": range(1000)})
    whole.to_csv(tmp_path / "sales.csv", index=False)
    whole.head(100).to_csv(tmp_path / "query.csv", index=False)
    files = [
        DataFile(
            "query.csv", 1, "db", "postgresql", sql="SELECT shop, amount FROM sales", rows=100, truncated=True
        ),
        DataFile("sales.csv", 1, "db", "postgresql", sql="SELECT * FROM sales", rows=1000),
    ]
    done = await bench.ask(tmp_path, "average amount by shop", files)
    assert "499.00" in done.answer
    assert "500.00" in done.answer
    assert "computed from sales (1,000 rows), the more complete one, not from query (100 rows)" in done.answer
    assert done.answer.startswith("<Answer>\n**Truncated data:** query.csv")


async def test_joining_never_multiplies_rows(bench: Bench, tmp_path: Path) -> None:
    """`rates` has several rows for a key, so it is no look-up table; `shops` is, and lacks one."""
    pd.DataFrame({"shop_id": ["s1", "s2", "s3", "s9"] * 50, "amount": range(200)}).to_csv(
        tmp_path / "sales.csv", index=False
    )
    pd.DataFrame({"shop_id": ["s1", "s2", "s3"], "city": ["Oslo", "Rome", "Bonn"]}).to_csv(
        tmp_path / "shops.csv", index=False
    )
    pd.DataFrame({"shop_id": ["s1", "s1", "s2", "s2"], "rate": [1, 2, 3, 4]}).to_csv(
        tmp_path / "rates.csv", index=False
    )
    done = await bench.ask(tmp_path, "total amount by city")
    assert "50 rows (25.0 %) found no partner" in done.answer
    assert f"**{sum(range(0, 200, 4)):,}** for Oslo" in done.answer
    links = done.result("link")["links"]
    assert isinstance(links, list)
    assert all(link["one"] != "rates" for link in links)


async def test_no_files_says_how_to_attach_some(bench: Bench, tmp_path: Path) -> None:
    done = await bench.ask(tmp_path, "average revenue by product", [])
    assert "no data to analyse yet" in done.answer
    assert "`data_sources`" in done.answer
    assert done.blocks == []


async def test_hello_to_a_thread_that_has_only_a_report(bench: Bench, tmp_path: Path) -> None:
    done = await bench.ask(tmp_path, "hi", [DataFile("report.md", 10), DataFile("figures/a.png", 10)])
    assert "no data to analyse yet" in done.answer


NEW_SESSION = (
    "[A new Python session was started: the variables of earlier blocks are gone, the files are there.]"
)
DIED = (
    "[The Python session ended here: it ran out of memory, or the code ended it. "
    "Its variables are gone, the files are there.]"
)


@pytest.mark.parametrize(
    ("number", "mishap"),
    [(6, NEW_SESSION), pytest.param(6, "(no output)", marks=pytest.mark.long), (1, DIED)],
)
async def test_what_got_lost_is_done_again(bench: Bench, shop: Path, number: int, mishap: str) -> None:
    """A busy machine drops outputs and ends idle sessions; the question is answered all the same."""
    done = await bench.ask(shop, "What drives revenue?", ["orders.csv"], mishaps={number: mishap})
    assert "explains **" in done.answer
    assert "`unit_price`" in done.answer
    assert len(done.blocks) == 9
    assert "\ndef read_file" in done.blocks[number]


@pytest.mark.parametrize(
    ("mishap", "why"),
    [
        (
            "half\n[The code was stopped after 120 s. Take a smaller step.]",
            "The code was stopped after 120 s",
        ),
        pytest.param(
            "Traceback …\nValueError: no such level", "ValueError: no such level", marks=pytest.mark.long
        ),
    ],
)
async def test_falling_back_is_told_first(bench: Bench, shop: Path, mishap: str, why: str) -> None:
    done = await bench.ask(shop, "What drives revenue?", ["orders.csv"], mishaps={6: mishap})
    told = f"**I could not work out the answer to the question:** {why}. What follows is a general profile"
    assert done.answer.startswith(f"<Answer>\n{told}")
    assert told in done.report
    assert "`orders` (3,000 rows, 8 columns)" in done.answer


async def test_a_session_that_keeps_ending_is_told(bench: Bench, shop: Path) -> None:
    done = await bench.ask(shop, "What drives revenue?", ["orders.csv"], mishaps={1: DIED, 2: DIED})
    assert "The Python session ended here: it ran out of memory" in done.answer
    assert len(done.blocks) == 2
