"""Full disks and other file systems, which are real ones in a mount namespace of a process of its own."""

from __future__ import annotations

from pathlib import Path

from tests.faults.test_disks import needs_mounts, start

FETCH = """
import asyncio, sys
from pathlib import Path
from deepanalyze.datasources import DataSourceConfig, LocalFileConnector, DeepAnalyzeError

async def main(base):
    source = DataSourceConfig("s", "local_file", "s", {"root": str(base / "root")})
    async with LocalFileConnector(source) as files:
        try:
            await files.download("big.bin", base / "out" / "big.bin", max_bytes=10**9)
        except DeepAnalyzeError as error:
            print(error.code, error, list((base / "out").iterdir()))

asyncio.run(main(Path(sys.argv[1])))
"""

LIST = """
import asyncio, sys
from pathlib import Path
from deepanalyze.datasources import DataSourceConfig, LocalFileConnector

async def main(base):
    (base / "root/mounted/in.csv").write_text("x")
    source = DataSourceConfig("s", "local_file", "s", {"root": str(base / "root")})
    async with LocalFileConnector(source) as files:
        print([item.path async for item in files.iter_items(recursive=True)])
        print(Path(await files.fetch_data("mounted/in.csv", base / "out")).read_text())

asyncio.run(main(Path(sys.argv[1])))
"""

PRIVATE = """
import asyncio, sys
from pathlib import Path
from deepanalyze.datasources import DataSourceConfig, LocalFileConnector, SourceDefaults

async def main(base):
    for root in ("mirror", "mirror/keys", "above"):
        source = DataSourceConfig("s", "local_file", "s", {"root": str(base / root)})
        files = LocalFileConnector(source)
        files.defaults = SourceDefaults(private_directories=(base / "state",))
        print(await files.test_connection(), type(files.last_error).__name__)

asyncio.run(main(Path(sys.argv[1])))
"""


@needs_mounts
def test_a_disk_that_fills_up_during_a_copy(tmp_path: Path) -> None:
    for name in ("root", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "root/big.bin").write_bytes(bytes(4 * 1024**2))
    code, output = start(tmp_path, "--size", "65536", "--tmpfs", str(tmp_path / "out"), program=FETCH)
    assert (code, output) == (0, "quota_exceeded no space is left to write 'big.bin' []")


@needs_mounts
def test_what_is_mounted_below_the_root_belongs_to_it(tmp_path: Path) -> None:
    for name in ("root/mounted", "out"):
        (tmp_path / name).mkdir(parents=True)
    code, output = start(tmp_path, "--tmpfs", str(tmp_path / "root/mounted"), program=LIST)
    assert (code, output) == (0, "['mounted/in.csv']\nx")


@needs_mounts
def test_the_servers_own_directory_is_known_under_another_mount(tmp_path: Path) -> None:
    for name in ("state/keys", "mirror", "above"):
        (tmp_path / name).mkdir(parents=True)
    mounts = ("--bind", str(tmp_path / "state"), str(tmp_path / "mirror"), "--bind", str(tmp_path))
    code, output = start(tmp_path, *mounts, str(tmp_path / "above"), program=PRIVATE)
    assert (code, output) == (0, "\n".join(["False PermissionDenied"] * 3))


BENEATH = """
import os, sys
from deepanalyze.datasources.beneath import DIRECTORY, REGULAR_FILE, open_beneath

base = os.open(sys.argv[1], DIRECTORY)
open(sys.argv[1] + "/mounted/x", "w").close()
os.close(open_beneath(base, "mounted/x", REGULAR_FILE, across_mounts=True))
try:
    open_beneath(base, "mounted/x", REGULAR_FILE)
except OSError as error:
    print(error.strerror)
"""


@needs_mounts
def test_other_file_systems_are_entered_only_where_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    code, output = start(tmp_path, "--tmpfs", str(tmp_path / "mounted"), program=BENEATH)
    assert (code, output) == (0, "Invalid cross-device link")
