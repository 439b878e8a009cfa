"""What a killed process leaves in the directory for temporary files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deepanalyze.datasources.temporary import left_over, temporary_directory
from deepanalyze.sandbox.runtime_dir import clean_left_over

_PROCESS = """
import time
from deepanalyze.datasources.temporary import temporary_directory
with temporary_directory() as directory:
    (directory / "client.key").write_text("a private key")
    print(directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(base))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("deepanalyze.datasources.temporary._LONGEST_BASE", 4096)
    return base


def test_what_a_killed_process_left_goes_at_the_next_start(base: Path) -> None:
    program = f"import deepanalyze.datasources.temporary as t; t._LONGEST_BASE = 4096\n{_PROCESS}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        assert directory.parent == base
        assert directory.stat().st_mode & 0o777 == 0o700
        clean_left_over()
        assert (directory / "client.key").exists()
        os.kill(process.pid, signal.SIGKILL)
    (base / "da-0123abcd").mkdir()  # somebody else's
    with left_over() as found, left_over() as found_by_others:
        assert (found, found_by_others) == ([directory], [])
    with temporary_directory() as mine:
        clean_left_over()
        assert mine.exists()
    assert [path.name for path in base.iterdir()] == ["da-0123abcd"]
