"""What `load` gives in a kernel is what the database holds, by way of a CSV or a Parquet file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deepanalyze.access.bringing import fetch_into
from deepanalyze.datasources import DataReference
from deepanalyze.sandbox import Kernel, KernelLimits
from deepanalyze.workspace import Workspace
from tests.support.postgres_sources import postgres
from tests.support.sandbox import made_workspace, sandbox_or_skip, started_kernel
from tests.support.services import PostgresDatabase

VALUES = """
SELECT * FROM (VALUES
  (1::int2, 1::int4, 9007199254740993::int8, 1.5::float8, 0.1::numeric(20, 10), 12345678901234567890.5::numeric, true,
   'a,"b"', '', date '2024-02-29', timestamp '2013-01-01 05:00:00.123456', timestamptz '2013-01-01 05:00+05:30',
   interval '1 day 02:03:04.5', '\\xdead'::bytea, ARRAY[1, NULL, 3], ARRAY['a,b', 'NULL', NULL, 'q"\\x', ''],
   '{"a": 1}'::jsonb, '00000000-0000-0000-0000-000000000001'::uuid, int4range(1, 5), time '24:00', 'NaN'::float8),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, E'line\\r\\nend ☃', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, '-Infinity')
) AS t(small, whole, big, ratio, exact, loose, yes, quotes, empty, day, at, zoned, span, raw, list, texts, doc, id,
       range, clock, odd)
"""
EXPECTED = """
from decimal import Decimal
import datetime, pandas as pd
f = load({name!r})
assert list(f.small)[0] == 1 and str(f.small.dtype) == "Int64" and f.small.isna().tolist() == [False, True]
assert int(f.big[0]) == 9007199254740993
assert f.exact[0] == Decimal("0.1000000000") and f.exact[1] is None, f.exact
assert f.loose[0] == Decimal("12345678901234567890.5"), f.loose
assert f.yes[0] and str(f.yes.dtype) == "boolean"
assert f.quotes[0] == 'a,"b"' and f.quotes[1] is None
assert f["empty"].tolist() == ["", "line\\r\\nend ☃"], f["empty"].tolist()
assert f.day[0] == pd.Timestamp("2024-02-29") and pd.isna(f.day[1])
assert f["at"][0] == pd.Timestamp("2013-01-01 05:00:00.123456")
assert f.zoned[0] == pd.Timestamp("2012-12-31 23:30", tz="UTC") and str(f.zoned.dtype).endswith("UTC]")
assert f.span[0] == pd.Timedelta("1 day 02:03:04.5"), f.span
assert f.raw[0] == bytes([0xde, 0xad]) and f.raw[1] is None
assert f.list[0] == [1, None, 3] or list(f.list[0]) == [1, None, 3], f.list[0]
assert list(f.texts[0]) == ["a,b", "NULL", None, 'q"\\\\x', ""], f.texts[0]
assert f.id[0] == "00000000-0000-0000-0000-000000000001"
assert f.range[0] == "[1,5)" and str(f.doc[0]) == '{{"a": 1}}'
assert f.odd[1] == float("-inf") and f.odd[0] != f.odd[0]
assert load({name!r}, decimals="float").exact[0] == 0.1
print("all there", f.attrs["truncated"])
"""


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[tuple[Kernel, Workspace]]:
    sandbox = await sandbox_or_skip("bubblewrap", KernelLimits())
    with made_workspace(tmp_path) as workspace:
        async with started_kernel(sandbox, workspace) as kernel:
            yield kernel, workspace


async def run(kernel: Kernel, code: str) -> str:
    result = await kernel.execute(code, timeout_s=120)
    assert result.status == "ok", result.output
    return result.output


@pytest.mark.requirement("2.3")
@pytest.mark.parametrize("format", ["csv", "parquet"])
async def test_every_value_comes_back(
    postgres_database: PostgresDatabase, desk: tuple[Kernel, Workspace], format: str
) -> None:
    kernel, workspace = desk
    query = VALUES.replace("time '24:00'", "time '23:59'")
    reference = DataReference("pg", query=query, format=format, save_as="my values")  # type: ignore[arg-type]
    async with postgres(postgres_database.analyst_config) as connector:
        (file,) = await fetch_into(connector, reference, workspace)
    assert [listed.name for listed in workspace.list()] == [file.file]
    assert "all there False" in await run(kernel, EXPECTED.format(name=file.file))


async def test_columns_of_one_name_and_one_column_of_nulls(
    postgres_database: PostgresDatabase, desk: tuple[Kernel, Workspace]
) -> None:
    kernel, workspace = desk
    async with postgres(postgres_database.analyst_config) as connector:
        for save_as, query in {
            "twice": 'SELECT 1 AS a, 2 AS a, 3 AS "x\ny"',
            "nulls": "SELECT * FROM (VALUES (NULL), (''), ('x'), (NULL)) t(a)",
            "none": "SELECT 1 AS a, 'x' AS b WHERE false",
            "less": "SELECT interval '-1 day +02:03:04' AS i, ARRAY[box '((1,1),(0,0))', box '((2,2),(0,0))'] AS b",
            "odd": "SELECT 'infinity'::date AS d, '0044-03-15 BC'::date AS e, interval '1 mon' AS m",
        }.items():
            await fetch_into(connector, DataReference("pg", query=query, save_as=save_as), workspace)
    out = await run(
        kernel,
        "t = load('twice.csv'); print(list(t.columns), t.iloc[0].tolist())\n"
        "print(load('nulls.csv').a.tolist(), load('none.csv').dtypes.to_dict(), len(load('none.csv')))\n"
        "print(load('odd.csv').iloc[0].tolist())\n"
        "print(load('less.csv').i[0], load('less.csv').b[0])",
    )
    assert "['a', 'a_2', 'x\\ny'] [1, 2, 3]" in out
    assert "[None, '', 'x', None]" in out
    assert "int64" in out
    assert "['infinity', '0044-03-15 BC', '1 mon']" in out
    assert "-1 days +02:03:04 ['(1,1),(0,0)', '(2,2),(0,0)']" in out


async def test_a_note_lies_beside_each_file_and_tells_where_it_came_from(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    with made_workspace(tmp_path) as workspace:
        async with postgres(postgres_database.analyst_config) as connector:
            reference = DataReference("pg", query="SELECT 1.5::numeric(3, 1) AS a", save_as="b/ä.csv")
            (file,) = await fetch_into(connector, reference, workspace)
        note = json.loads((workspace.root / ".deepanalyze" / "b" / "ä.csv.json").read_text())
    assert note["file"] == file.file == "b/ä.csv"
    assert note["source"] == {"id": "pg", "name": "pg", "type": "postgresql"}
    assert note["sql"] == "SELECT 1.5::numeric(3, 1) AS a"
    assert note["columns"] == [{"name": "a", "type": "numeric(3,1)", "dtype": "decimal"}]
    assert (note["rows"], note["truncated"], note["format"]) == (1, False, "csv")
    assert note["server_version"].startswith("18")
    assert abs(note["snapshot_at"] - note["started_at"]) < 600


async def test_what_code_put_in_the_way_is_not_followed(
    postgres_database: PostgresDatabase, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    with made_workspace(tmp_path) as workspace:
        (workspace.root / ".deepanalyze").symlink_to(target)
        async with postgres(postgres_database.analyst_config) as connector:
            (file,) = await fetch_into(connector, DataReference("pg", query="SELECT 1 AS a"), workspace)
        assert (workspace.root / file.file).is_file()
        assert list(target.iterdir()) == []
        assert list(workspace.staging.iterdir()) == []
        (workspace.root / ".deepanalyze").unlink()
        assert workspace.annotate(file.file, "{}")
        note = workspace.root / ".deepanalyze" / f"{file.file}.json"
        note.unlink()
        note.symlink_to(target / "victim")
        assert workspace.annotate(file.file, "{}")
        assert not note.is_symlink()
        assert list(target.iterdir()) == []


async def test_other_files_are_read_by_their_ending_and_missing_ones_named(
    desk: tuple[Kernel, Workspace],
) -> None:
    kernel, _ = desk
    out = await run(
        kernel,
        "open('plain.csv', 'w').write('a,b\\n1,x\\n')\n"
        "print(load('plain.csv').a.tolist())\n"
        "try: load('plane.csv')\n"
        "except FileNotFoundError as error: print(error)\n"
        "open('x.bin', 'w').write('a')\n"
        "try: load('x.bin')\n"
        "except ValueError as error: print(error)",
    )
    assert "[1]" in out
    assert "there is no file 'plane.csv' here; there is 'plain.csv'" in out
    assert "reader of its own" in out


async def test_a_file_that_code_has_changed_is_no_longer_what_was_noted(
    postgres_database: PostgresDatabase, desk: tuple[Kernel, Workspace]
) -> None:
    kernel, workspace = desk
    async with postgres(postgres_database.analyst_config) as connector:
        await fetch_into(connector, DataReference("pg", query="SELECT 1 AS a", save_as="x"), workspace)
    out = await run(kernel, "open('x.csv', 'w').write('c,d\\n5,6\\n'); print(list(load('x.csv').columns))")
    assert "['c', 'd']" in out
