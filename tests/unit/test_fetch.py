"""Where fetched files go, and what a reference may say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepanalyze.datasources import (
    DataItem,
    DataReference,
    DataSourceConfig,
    Downloaded,
    FileTooLarge,
    InvalidRequest,
    Limits,
    NotSupported,
    SourceUnavailable,
)
from deepanalyze.datasources.fetch import fetch
from deepanalyze.datasources.files import atomic_file, safe_relative_name
from deepanalyze.datasources.landing import local_names
from tests.support.empty_source import EmptySource


class Shelf(EmptySource):
    """Files in memory; the one called `bad` cannot be read, `slow` never ends."""

    def __init__(self, sizes: dict[str, int | None]) -> None:
        super().__init__(DataSourceConfig("shelf", "custom", "shelf"))
        self.sizes = sizes
        self.running = 0
        self.peak = 0
        self.began: list[str] = []

    async def list_items(self, path: str | None = None) -> list[DataItem]:
        return [DataItem(name, name, "blob", size) for name, size in self.sizes.items()]

    async def find(self, path: str) -> list[DataItem]:
        return await self.list_items()

    async def download(
        self, path: str, destination: Path, *, max_bytes: int, on_progress: Any = None
    ) -> Downloaded:
        self.running += 1
        self.peak = max(self.peak, self.running)
        self.began.append(path)
        try:
            with atomic_file(destination) as file:
                file.write(path.encode())
                await asyncio.sleep(0)
                if path.endswith("slow"):
                    await asyncio.Event().wait()
                if path.endswith("bad"):
                    raise SourceUnavailable("it broke")
        finally:
            self.running -= 1
        return Downloaded(len(path))


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_base_names_are_kept_and_clashes_keep_their_folders() -> None:
    assert local_names(["2013/01.csv", "2013/02.csv"]) == ["01.csv", "02.csv"]
    assert local_names(["a/x.csv", "b/x.csv", "c/y.csv"]) == ["a/x.csv", "b/x.csv", "y.csv"]
    assert local_names(["a/X.csv", "b/x.csv"]) == ["a/X.csv", "b/x.csv"]
    assert local_names(["x.csv"], "mine.csv") == ["mine.csv"]
    assert local_names(["a/x.csv", "b/y.csv"], "mine") == ["mine/x.csv", "mine/y.csv"]


names = st.text(st.characters(codec=None), min_size=1).filter(lambda n: n.strip("/ "))


@given(st.lists(names, unique=True, min_size=1, max_size=8))
def test_no_name_leaves_the_directory_or_meets_another(paths: list[str]) -> None:
    local = local_names(paths)
    assert len(set(local)) == len(local) == len(paths)
    for name in local:
        parts = name.split("/")
        assert name.encode()
        assert not any(part in ("", ".", "..") or part.startswith(".") for part in parts)
        assert not any(ord(c) < 32 or c == "\\" for c in name)
        assert not any(other.startswith(name + "/") for other in local)


@pytest.mark.parametrize("name", ["", "/", "  ", "//"])
def test_a_name_that_says_nothing_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        safe_relative_name(name)


@pytest.mark.parametrize(
    ("reference", "param"),
    [
        (DataReference("s"), "path"),
        (DataReference("s", path="a", query="b"), "query"),
        (DataReference("s", path="a", table="b"), "table"),
        (DataReference("s", path=" "), "path"),
        (DataReference("s", path="a", max_rows=0), "max_rows"),
    ],
)
async def test_a_reference_names_exactly_one_thing(
    reference: DataReference, param: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await fetch(Shelf({}), reference, tmp_path, limits=Limits())
    assert caught.value.param == param


@pytest.mark.parametrize("reference", [DataReference("s", query="SELECT 1"), DataReference("s", table="t")])
async def test_files_are_not_asked_in_sql(reference: DataReference, tmp_path: Path) -> None:
    with pytest.raises(NotSupported, match="'path'"):
        await fetch(Shelf({}), reference, tmp_path, limits=Limits())


async def test_files_come_side_by_side_but_not_all_at_once(tmp_path: Path) -> None:
    shelf = Shelf({f"d{n}/f{n}.csv": 1 for n in range(40)})
    fetched = await fetch(shelf, DataReference("s", path="*"), tmp_path, limits=Limits())
    assert {f.file for f in fetched} == files_below(tmp_path) == {f"f{n}.csv" for n in range(40)}
    assert [f.path for f in fetched] == list(shelf.sizes)
    assert 1 < shelf.peak <= 8


async def test_one_failure_leaves_nothing(tmp_path: Path) -> None:
    shelf = Shelf({"a": 1, "b": 1, "bad": 1, "slow": 1})
    with pytest.raises(SourceUnavailable, match="it broke"):
        await fetch(shelf, DataReference("s", path="*"), tmp_path, limits=Limits())
    assert files_below(tmp_path) == set()
    assert shelf.running == 0


async def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    shelf = Shelf({"a": 1, "slow": 1})
    task = asyncio.create_task(fetch(shelf, DataReference("s", path="*"), tmp_path, limits=Limits()))
    while len(shelf.began) < 2:  # noqa: ASYNC110 - it takes a few turns of the loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_below(tmp_path) == set()
    assert shelf.running == 0


@pytest.mark.parametrize(
    ("sizes", "limits"),
    [({"a": 11}, Limits(max_file_bytes=10)), ({"a": 1, "b": 1}, Limits(max_files=1))],
)
async def test_limits_are_checked_before_the_first_byte(
    sizes: dict[str, int | None], limits: Limits, tmp_path: Path
) -> None:
    shelf = Shelf(sizes)
    with pytest.raises(FileTooLarge, match="the limit is"):
        await fetch(shelf, DataReference("s", path="*"), tmp_path, limits=limits)
    assert shelf.began == []


def test_a_file_appears_when_it_is_complete_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.write(b"half" + None)  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []
    with atomic_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    with pytest.raises(FileExistsError), atomic_file(path) as file:
        file.write(b"other")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
