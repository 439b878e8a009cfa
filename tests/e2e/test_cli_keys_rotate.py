"""`deepanalyze keys rotate` over a data directory that a real server has filled."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet

from deepanalyze.runtime import open_runtime
from deepanalyze.settings import Settings
from tests.support.canaries import canary
from tests.support.processes import run, started

ADMIN = canary("configured admin key")


def new_key() -> str:
    return Fernet.generate_key().decode()


@pytest.mark.requirement("6.2")
def test_rotation_from_the_key_file_to_a_new_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    serve = ("serve", "--port", "0", "--data-dir", str(data))
    with started(tmp_path, *serve, DEEPANALYZE_ADMIN_API_KEY=ADMIN) as server:
        url = re.search(r"http://\S+", server.until("answers at"))
        assert url is not None
        config = {"host": "db", "database": "d", "user": "u", "password": canary("password at rest")}
        body = {"type": "postgresql", "name": "sales", "config": config, "test_connection": False}
        made = httpx.post(f"{url[0]}/v1/data-sources", json=body, headers={"api-key": ADMIN}, timeout=60)
        assert made.status_code == 201, made.text
        held = run(tmp_path, "keys", "rotate", "--data-dir", str(data))
        assert held.returncode == 2
        assert "stop it" in held.stderr

    key_file = data / "keys" / "encryption.key"
    old = key_file.read_text().strip()
    key_file.write_text(f"{new_key()}\n{old}\n")
    done = run(tmp_path, "keys", "rotate", "--json", "--data-dir", str(data))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"directory": str(data), "rotated": 1, "skipped": 0}

    listed = run(tmp_path, "audit", "list", "--json", "--action", "rotate", "--data-dir", str(data))
    [record] = json.loads(listed.stdout)
    assert (record["outcome"], record["object_type"]) == ("ok", "encryption_key")
    assert record["details"] == {"rotated": 1, "skipped": 0}
    whole = run(tmp_path, "audit", "verify", "--data-dir", str(data))
    assert (whole.returncode, whole.stderr) == (0, "")

    first = key_file.read_text().splitlines()[0]
    key_file.write_text(first + "\n")
    with started(tmp_path, *serve) as server:
        server.until("answers at")
    whole = run(tmp_path, "audit", "verify", "--data-dir", str(data))
    assert (whole.returncode, whole.stderr) == (0, "")

    key_file.write_text(old + "\n")
    stopped = run(tmp_path, *serve, "--log-level", "error")
    assert stopped.returncode == 2
    assert re.search(
        rf"\(audit trail, earlier key\).*the key in the key file {key_file} is not", stopped.stderr
    )
    key_file.unlink()
    stopped = run(tmp_path, *serve, "--log-level", "error")
    assert stopped.returncode == 2
    assert f"the key file {key_file} is missing" in stopped.stderr
    assert not key_file.exists()
    stopped = run(tmp_path, *serve, "--log-level", "error", DEEPANALYZE_ENCRYPTION_KEY=new_key())
    assert "the key in DEEPANALYZE_ENCRYPTION_KEY is not" in stopped.stderr


async def test_without_any_credential_too_the_key_of_the_audit_trail_is_needed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    key_file = data / "keys" / "encryption.key"
    listing = ("users", "list", "--data-dir", str(data))
    async with open_runtime(Settings(data_dir=data), first_key=True):
        pass
    key = key_file.read_text()
    key_file.unlink()
    lost = run(tmp_path, *listing)
    assert lost.returncode == 2
    assert f"the key file {key_file} is missing" in lost.stderr
    assert not key_file.exists()
    wrong = run(tmp_path, *listing, DEEPANALYZE_ENCRYPTION_KEY=new_key())
    assert wrong.returncode == 2
    assert (
        "the key in DEEPANALYZE_ENCRYPTION_KEY is not the encryption key it was stored with" in wrong.stderr
    )
    key_file.write_text(key)
    assert run(tmp_path, *listing).returncode == 0


def test_there_must_be_something_to_rotate(tmp_path: Path) -> None:
    done = run(tmp_path, "keys", "rotate", "--data-dir", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "there is no store in the data directory" in done.stderr
    assert not (tmp_path / "none").exists()
