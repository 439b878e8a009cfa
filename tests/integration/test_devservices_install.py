"""What is fetched or missing before the services can start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepanalyze.devservices.azurite.install import MANIFESTS, node_home
from deepanalyze.devservices.azurite.install import __file__ as install_file
from deepanalyze.devservices.cluster import find_programs
from deepanalyze.devservices.sampledata.dataset import open_data
from deepanalyze.errors import StartupError
from tests.support.processes import DEADLINE_S, environment

LOCK = Path(install_file).with_name("package-lock.json")


def install(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deepanalyze.devservices.install"],
        env=environment(home, **more) | {"XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    for look_up in (lambda: find_programs(None), node_home, lambda: open_data("airlines").__enter__()):
        with pytest.raises(StartupError, match=r"pip install 'deepanalyze-server\[demo\]'"):
            look_up()


def test_the_lock_file_pins_everything_by_hash_and_names_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    dependencies = [entry for name, entry in packages.items() if name]
    assert len(dependencies) > 100
    for entry in dependencies:
        assert entry["integrity"].startswith("sha512-")
        assert "resolved" not in entry
    wanted = json.loads(LOCK.with_name("package.json").read_text())["dependencies"]
    assert packages["node_modules/azurite"]["version"] == wanted["azurite"]


def test_an_unreachable_registry_is_one_clear_line_and_leaves_no_half_installation(tmp_path: Path) -> None:
    done = install(tmp_path, npm_config_registry="http://127.0.0.1:9/", npm_config_fetch_retries="0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: npm could not install Azurite: ")
    assert "ECONNREFUSED" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "cache" / "deepanalyze").glob("azurite-*")) == []


@pytest.mark.long
def test_it_is_installed_once_from_the_lock_file(tmp_path: Path) -> None:
    assert install(tmp_path).returncode == 0
    (installed,) = (tmp_path / "cache" / "deepanalyze").glob("azurite-*")
    for name in MANIFESTS:
        assert (installed / name).read_bytes() == LOCK.with_name(name).read_bytes()
    before = installed.stat().st_mtime_ns
    again = install(tmp_path, npm_config_registry="http://127.0.0.1:9/", npm_config_fetch_retries="0")
    assert again.returncode == 0
    assert installed.stat().st_mtime_ns == before
