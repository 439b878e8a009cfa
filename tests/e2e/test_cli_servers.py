"""Which server a command asks, with which key, and how it ends when that does not work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import KEY, good, one_line, serving
from tests.support.processes import deepanalyze, environment, run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "files").mkdir()
    for name in ("x 1.csv", "\x1b[31m☃.csv"):
        (home / "files" / name).write_text("a,b\n1,2\n")
    for name, content in (
        ("api-key", f"{KEY}\n"),
        ("empty", "\n"),
        ("two", "a key\nand another"),
        ("odd", "☃"),
    ):
        (home / name).write_text(content)
        (home / name).chmod(0o600)
    return home


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with serving(home, home / "data", DEEPANALYZE_LOCAL_ROOTS=str(home / "files")) as (url, _):
        described = ("--type", "local_file", "--set", f"root={home / 'files'}")
        good(run(home, "sources", "add", "files", *described, **named(url)))
        yield url


def named(url: str) -> dict[str, str]:
    return {"DEEPANALYZE_SERVER": url, "DEEPANALYZE_API_KEY": KEY}


def test_server_and_key_have_several_names(home: Path, url: str) -> None:
    listing = ("sources", "list", "--json")
    wrong = {"DEEPANALYZE_SERVER": "http://127.0.0.1:1", "DEEPANALYZE_API_KEY": "wrong"}
    for done in (
        run(home, *listing, "--server", url, "--api-key-file", "api-key", **wrong),
        run(home, *listing, "--url", url, "--api-key", KEY, DEEPANALYZE_API_KEY_FILE="empty", **wrong),
        run(home, *listing, DEEPANALYZE_SERVER=url, DEEPANALYZE_API_KEY_FILE="api-key"),
        run(home, *listing, DEEPANALYZE_URL=url, DEEPANALYZE_API_KEY=KEY, DEEPANALYZE_API_KEY_FILE="none"),
    ):
        assert [source["name"] for source in json.loads(good(done))] == ["files"]


def test_a_directory_on_the_command_line_comes_before_the_servers_variable(home: Path, url: str) -> None:
    (home / "other.toml").write_text('data_dir = "other"\n')
    for option in (("--data-dir", "other"), ("--config", "other.toml")):
        asked = run(home, "sources", "remove", "files", "--yes", *option, **named(url))
        one_line(asked, 2, "there is no DeepAnalyze in", str(home / "other"))
        one_line(
            run(home, "sources", "list", "--server", url, *option), 2, "--server", "--data-dir", "--config"
        )
    one_line(run(home, "sources", "list", "--server", "", **named(url)), 2, "--server ''", "http")
    good(run(home, "sources", "show", "files", **named(url)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--api-key-file", "none"), ("none", "cannot be read", "No such file")),
        (("--api-key-file", "."), ("cannot be read", "directory")),
        (("--api-key-file", "empty"), ("empty is empty",)),
        (("--api-key-file", "two"), ("two", "nothing else")),
        (("--api-key-file", "odd"), ("characters",)),
        (("--api-key-file", "api-key", "--api-key", "x"), ("--api-key", "--api-key-file")),
        ((), ("--api-key-file", "DEEPANALYZE_API_KEY")),
    ],
)
def test_a_key_that_is_none_is_told(
    home: Path, url: str, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    one_line(run(home, "users", "list", "--server", url, *arguments), 2, *words)


def test_the_server_that_holds_the_directory_is_asked(home: Path, url: str) -> None:
    listing = ("sources", "list", "--json", "--data-dir", str(home / "data"))
    for key in (
        {"DEEPANALYZE_ADMIN_API_KEY": KEY},
        {"DEEPANALYZE_API_KEY": KEY, "DEEPANALYZE_ADMIN_API_KEY": "another that is long enough"},
    ):
        done = run(home, *listing, **key)
        assert done.returncode == 0, done.stderr
        assert [source["name"] for source in json.loads(done.stdout)] == ["files"]
        assert done.stderr.splitlines() == [
            f"deepanalyze: the running server at {url} holds {home / 'data'} and is asked"
        ]
    one_line(run(home, *listing), 2, f"the running server at {url}", str(home / "data"), "--api-key-file")
    refused = run(home, *listing, DEEPANALYZE_API_KEY="wrong")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not valid" in refused.stderr.splitlines()[-1]


def test_names_of_sources_are_completed(home: Path, url: str) -> None:
    def completed(typed: str, **environ: str) -> list[str]:
        asked = {"_DEEPANALYZE_COMPLETE": "complete_bash", "COMP_WORDS": f"deepanalyze {typed}"}
        position = str(len(typed.split()) + typed.endswith(" "))
        done = run(home, COMP_CWORD=position, **asked, **environ)
        assert done.stderr == ""
        return done.stdout.split()

    assert "upload" in completed("sources ")
    assert completed("sources show ", **named(url)) == ["files"]
    assert completed(f"sources show --server {url} --api-key-file api-key fi") == ["files"]
    assert completed("sources show x", **named(url)) == []
    assert completed("users remove ", **named(url)) == ["admin"]
    assert completed("sources show ") == []
    assert completed("sources show --data-dir other ", **named(url)) == []
    assert completed("sources show ", **{**named(url), "DEEPANALYZE_API_KEY": "wrong"}) == []
    assert completed("sources show ", **named("http://127.0.0.1:1")) == []


def test_json_is_one_document(home: Path, url: str) -> None:
    for arguments in (
        ("list",),
        ("show", "files"),
        ("test", "files"),
        ("browse", "files"),
        ("preview", "files", "x 1.csv"),
        ("stats", "files", "x 1.csv"),
        ("edit", "files", "--set", "read_only=true"),
        ("fetch", "files", "x 1.csv", "--output", "fetched"),
    ):
        json.loads(good(run(home, "sources", *arguments, "--json", **named(url))))
    one_line(run(home, "sources", "show", "none", "--json", **named(url)), 1, "'none'", "request ")


def test_names_cannot_speak_to_the_terminal(home: Path, url: str) -> None:
    shown = good(run(home, "sources", "browse", "files", **named(url)))
    assert "\\x1b[31m☃.csv" in shown
    assert "\x1b" not in shown
    narrow = good(run(home, "sources", "browse", "files", PYTHONIOENCODING="ascii", **named(url)))
    assert "\\u2603.csv" in narrow
    missing = one_line(run(home, "sources", "show", "\x1b[31m", **named(url)), 1, "\\x1b[31m")
    assert "\x1b" not in missing
    for name in ("", "..", "a/b"):
        one_line(run(home, "sources", "remove", name, "--yes", **named(url)), 1, f"there is no {name!r}")


def test_what_is_used_wrongly_ends_with_2(home: Path, url: str) -> None:
    for arguments in (("sources",), ("sources", "sow"), ("sources", "show"), ("users", "list", "--jsn")):
        done = run(home, *arguments, **named(url))
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    both = run(home, "sources", "query", "files", "SELECT 1", "--json", "--format", "csv", **named(url))
    assert (both.returncode, both.stdout) == (2, "")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_full_disk_behind_the_output_is_told(home: Path, url: str, option: list[str]) -> None:
    for command in (("sources", "list"), ("config", "show")):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                deepanalyze(*command, *option),
                env=environment(home, **(named(url))),
                cwd=home,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, done.stderr) == (
            1,
            "deepanalyze: cannot write to standard output: No space left on device\n",
        )


def test_a_closed_standard_input_is_told(home: Path, url: str) -> None:
    command = 'exec "$0" -m deepanalyze sources list <&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable],
        env=environment(home, **named(url)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "have to be open" in done.stderr


def _interrupt_until_ended(process: subprocess.Popen[bytes], signal_: signal.Signals) -> None:
    """As a person does: a Ctrl-C between Python's look for signals and its read is only seen at the next one."""
    for _ in range(10):
        process.send_signal(signal_)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=6)
            return


@pytest.mark.parametrize(("answer", "code"), [(signal.SIGINT, 130), (b"n\n", 1), (b"\x04", 130)])
def test_a_question_can_be_refused(home: Path, url: str, answer: signal.Signals | bytes, code: int) -> None:
    """At a terminal: Ctrl-C, no and Ctrl-D."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        deepanalyze("sources", "remove", "files"),
        env=environment(home, TERM="xterm", **named(url)),
        cwd=home,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(ours, 4096)
        if isinstance(answer, bytes):
            os.write(ours, answer)
        else:
            _interrupt_until_ended(process, answer)
        assert process.wait(timeout=60) == code
    os.close(ours)
    assert b"Remove the data source 'files'" in asked
    good(run(home, "sources", "show", "files", **named(url)))
