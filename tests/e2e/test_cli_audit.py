"""`deepanalyze audit`: what was done is listed, and what was tampered with is found."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from deepanalyze.audit import AuditTrail, Entry
from deepanalyze.runtime import open_runtime
from deepanalyze.settings import Settings
from tests.support.processes import run

DAY_S = 24 * 60 * 60
USERS = ("user-" + "0" * 24, "user-" + "1" * 24)


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    async with open_runtime(Settings(data_dir=directory), first_key=True) as runtime:
        await fill(runtime.audit)
    return directory


async def fill(trail: AuditTrail) -> None:
    for day in range(4):
        user = USERS[day % 2]
        await trail.append(Entry(day * DAY_S * 1000, "query", "ok", f"req-{day}", user, source_id="ds-1"))
    await trail.append(Entry(4 * DAY_S * 1000, "delete", "refused", "req-4", USERS[0], source_id="ds-1"))


def audit(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(data_dir.parent, "audit", *arguments, "--data-dir", str(data_dir))


def listed(data_dir: Path, *arguments: str) -> list[str]:
    done = audit(data_dir, "list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [record["request_id"] for record in json.loads(done.stdout)]


def test_records_are_listed_as_they_are_asked_for(data_dir: Path) -> None:
    shown = run(data_dir.parent, "audit", "list", "--data-dir", str(data_dir), COLUMNS="200")
    assert shown.returncode == 0, shown.stderr
    assert "refused" in shown.stdout
    assert "1970-01-05" in shown.stdout
    assert listed(data_dir, "--until", "2000-01-01") == ["req-4", "req-3", "req-2", "req-1", "req-0"]
    assert len(listed(data_dir, "--user", "admin")) == 0
    [first_key, first_user] = json.loads(audit(data_dir, "list", "--json", "--action", "create").stdout)
    assert (first_user["object_type"], first_key["object_type"]) == ("user", "api_key")
    assert json.loads(audit(data_dir, "list", "--json", "--object", first_key["object_id"]).stdout) == [
        first_key
    ]
    unknown = audit(data_dir, "list", "--user", "nobody")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no user named 'nobody'" in unknown.stderr
    assert listed(data_dir, "--limit", "2") == ["req-4", "req-3"]
    assert listed(data_dir, "--user", USERS[0], "--action", "query") == ["req-2", "req-0"]
    assert listed(data_dir, "--outcome", "refused", "--source", "ds-1") == ["req-4"]
    assert listed(data_dir, "--since", "1970-01-02", "--until", "1970-01-03T12:00") == ["req-2", "req-1"]


def test_a_whole_trail_is_told_and_a_broken_one_exits_with_1(data_dir: Path) -> None:
    whole = audit(data_dir, "verify")
    assert whole.returncode == 0, whole.stderr
    assert "is whole: 7 records" in whole.stdout
    found = json.loads(audit(data_dir, "verify", "--json").stdout)
    assert found["valid"]
    tamper(data_dir, "UPDATE audit_records SET user_id = 'user-9' WHERE sequence = 5")
    broken = audit(data_dir, "verify")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith(
        "deepanalyze: the audit trail is broken at record 5: the record was changed"
    )
    told = audit(data_dir, "verify", "--json")
    assert (told.returncode, json.loads(told.stdout)["first_broken"]) == (1, 5)


def test_a_trail_that_was_erased_or_taken_away_exits_with_1(data_dir: Path) -> None:
    found = json.loads(audit(data_dir, "verify", "--json").stdout)
    noted = f"{found['head_sequence']}:{found['head_mac']}"
    assert audit(data_dir, "verify", "--expect", noted).returncode == 0
    other = audit(data_dir, "verify", "--expect", f"2:{found['head_mac']}")
    assert (other.returncode, other.stdout) == (1, "")
    assert "record 2: the record is another one than was noted" in other.stderr
    wrong = audit(data_dir, "verify", "--expect", "the last one")
    assert wrong.returncode == 1
    assert "expect" in wrong.stderr
    tamper(
        data_dir, "DROP TRIGGER audit_records_stay", "DELETE FROM audit_records", "DELETE FROM audit_marks"
    )
    erased = audit(data_dir, "verify")
    assert (erased.returncode, erased.stdout) == (1, "")
    assert "the audit trail is broken at record 1: the trail is empty" in erased.stderr
    tamper(data_dir, "DROP TABLE audit_records")
    gone = audit(data_dir, "verify")
    assert gone.returncode != 0
    assert "its table audit_records is gone" in gone.stderr
    assert "Traceback" not in gone.stderr


def tamper(data_dir: Path, *statements: str) -> None:
    connection = sqlite3.connect(data_dir / "store.sqlite")
    with connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_records_stay_as_they_are")
        for sql in statements:
            connection.execute(sql)
    connection.close()
