"""The net that catches secrets catches them: planted where and as they could turn up."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import deepanalyze
from deepanalyze.errors import InvalidRequest
from tests.support.canaries import MARK, canary, canary_fernet_key, canary_key, found_in, legitimate
from tests.support.canary_net import look_at_directory, recorded_findings

PLANTED = "planted"
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "base64": base64.b64encode,
    "URL-safe base64": base64.urlsafe_b64encode,
    "percent-encoded": lambda text: quote(text.decode(), safe="").encode(),
    "JSON": lambda text: json.dumps(text.decode()).encode(),
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "UTF-16": lambda text: text.decode().encode("utf-16-le"),
}


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"use", b'password="'])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoding_is_found_at_every_offset(encoder: str, before: bytes) -> None:
    surroundings = ENCODERS[encoder](before + canary(PLANTED).encode() + b" \xc3\xbc and more")
    assert PLANTED in {name for name, _ in found_in(b"left " + surroundings + b" right")}


@pytest.mark.parametrize(
    "secret", [canary_key("k"), canary_fernet_key("f")], ids=["account key", "Fernet key"]
)
def test_keys_are_found_as_they_are_and_as_what_they_stand_for(secret: str) -> None:
    for text in (
        secret.encode(),
        base64.urlsafe_b64decode(secret),
        *(f(secret.encode()) for f in ENCODERS.values()),
    ):
        assert list(found_in(b"x" + text))


@pytest.mark.parametrize("before", [b"", b"x", b"xy"])
def test_a_servers_own_api_key_is_found(before: bytes) -> None:
    key = b"sk-da-" + b"Ab3_" * 10 + b"xyz"
    assert list(found_in(before + key))
    assert list(found_in(base64.b64encode(before + key + b" yes")))
    assert not list(found_in(before + key, keys=False))
    assert not list(found_in(before + key[:10] + "…".encode()))


def test_what_is_no_secret_is_not_found() -> None:
    assert not list(found_in(MARK[:-1].encode() + b" " + base64.b64encode(MARK[2:].encode())))


def test_what_is_planted_in_files_is_found_with_its_place(tmp_path: Path) -> None:
    secret = canary(PLANTED)
    (tmp_path / "server.log").write_text(f'{{"event": "connected", "url": "{secret}"}}\n')
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as database, database:
        database.execute("CREATE TABLE t (a, b)")
        database.execute("INSERT INTO t VALUES (1, ?)", [base64.b64encode(b"x" + secret.encode())])
    border = b"." * (8 * 1024**2 - 5)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "between two pieces").write_bytes(border + secret.encode() + border)
    for name, mode in (("encryption.key", 0o600), ("credentials.json", 0o644)):
        (tmp_path / name).write_text(secret)
        (tmp_path / name).chmod(mode)
    with recorded_findings() as found:
        look_at_directory(tmp_path)
    assert {Path(finding.place.removeprefix("the file ")).name for finding in found} == {
        "server.log",
        "store.sqlite",
        "between two pieces",
        "credentials.json",
    }
    assert {finding.secret for finding in found} == {PLANTED}
    assert all("test_what_is_planted_in_files" in finding.test for finding in found)
    for path in tmp_path.rglob("*"):  # it would be found again at the end of the run
        if path.is_file():
            path.unlink()


def test_what_is_planted_in_a_process_or_an_error_is_found() -> None:
    secret = canary(PLANTED)
    with recorded_findings() as found:
        _start_as_the_product(secret, environment={"A": "b"})
        _start_as_the_product("", environment={"A": secret})
        subprocess.run([sys.executable, "-c", "", secret], env={"A": secret}, check=True)  # a test's own
        InvalidRequest("a field is wrong", details=[{"given": secret}])
        with legitimate("what a process is configured with is its own"):
            _start_as_the_product("", environment={"A": secret})
    assert [finding.place.partition(" of ")[0] for finding in found] == [
        "the arguments",
        "the environment",
        "the error invalid_request",
    ]


def _start_as_the_product(argument: str, *, environment: dict[str, str]) -> None:
    """As if the line stood in its source."""
    command = [sys.executable, "-c", "", argument]
    line = compile("run(command, env=environment, check=True)", deepanalyze.__file__, "exec")
    exec(line, {"run": subprocess.run, "command": command, "environment": environment})


def test_what_is_planted_in_an_answer_is_found() -> None:
    """Split between two pieces of a stream."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    secret = canary(PLANTED).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            for piece in (secret[:9], secret[9:]):
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server, recorded_findings() as found:
        thread = Thread(target=server.handle_request)
        thread.start()
        assert httpx.get(f"http://127.0.0.1:{server.server_port}/v1/models").content == secret
        thread.join()
    assert [finding.place for finding in found] == ["the answer 200 to GET /v1/models"]


def test_a_run_that_leaks_fails_and_says_where(tmp_path: Path) -> None:
    """A whole run of its own, with two workers: one test logs a secret, one leaves it in a file; one is innocent."""
    (tmp_path / "conftest.py").write_text(
        "from tests.support.canary_net import CanaryNet\n"
        "def pytest_configure(config):\n"
        "    net = CanaryNet(config)\n"
        "    config.pluginmanager.register(net)\n"
        "    net.open()\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import logging\n"
        "from tests.support.canaries import canary\n"
        "def test_logs(): logging.getLogger().warning('see %s', canary('logged'))\n"
        "def test_writes(tmp_path): (tmp_path / 'a').write_text(canary('written').encode().hex())\n"
        "def test_is_innocent(): canary('kept')\n"
    )
    root = Path(__file__).resolve().parents[2]
    without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "schemathesis", "hypothesispytest")]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *without, str(tmp_path)]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "--basetemp", str(tmp_path / "t")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith(("logged", "written", "kept"))]
    assert sorted(told)[0].startswith("logged (plain) in Captured log call, in test_it.py::test_logs")
    assert sorted(told)[1].startswith("written (hex) in the file ")
    assert len(told) == 2
