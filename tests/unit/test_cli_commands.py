"""What holds for every command: options that are the same everywhere, and a quick `--help`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from deepanalyze.cli.app import app
from deepanalyze.cli.client import below
from deepanalyze.cli.sources.transferring import _target
from deepanalyze.errors import DeepAnalyzeError


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
    for sub, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{name} {sub}".strip())


COMMANDS = dict(commands(typer.main.get_command(app), ""))


def flags(command: Any) -> set[str]:
    return {flag for param in command.params for flag in param.opts}


def test_all_commands_for_sources_are_there() -> None:
    wanted = "add list show test browse preview schema stats query fetch upload edit remove"
    assert {f"sources {name}" for name in wanted.split()} <= COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"serve"}))
def test_every_command_that_prints_has_json(name: str) -> None:
    assert "--json" in flags(COMMANDS[name])


def test_commands_that_ask_a_server_say_which_in_one_way() -> None:
    asking = {name for name, command in COMMANDS.items() if "--server" in flags(command)}
    assert {name.split()[0] for name in asking} == {"sources", "users", "keys", "threads", "audit"}
    shared = {"--server", "--url", "--api-key-file", "--api-key", "--config", "--data-dir", "--json"}
    for name in asking:
        assert shared <= flags(COMMANDS[name]), name
        assert COMMANDS[name].help, name


def test_help_does_not_wait_for_what_only_commands_need() -> None:
    heavy = "{'httpx', 'fastapi', 'uvicorn', 'sqlalchemy', 'pydantic', 'psycopg', 'obstore'}"
    look = f"import sys, deepanalyze.cli.app; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../../v1/admin/users", "/"])
def test_a_name_that_would_lead_elsewhere_is_none(name: str) -> None:
    with pytest.raises(DeepAnalyzeError, match="there is no"):
        below("/v1/data-sources", name, "test")


@pytest.mark.parametrize(
    ("name", "part"), [("a b", "a%20b"), ("☃", "%E2%98%83"), ("a?b#c", "a%3Fb%23c"), ("%2e%2e", "%252e%252e")]
)
def test_other_names_are_one_part_of_the_address(name: str, part: str) -> None:
    assert below("/v1/data-sources", name, "test") == f"/v1/data-sources/{part}/test"


def test_fetched_files_stay_in_their_directory_and_replace_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert _target(tmp_path, "a/b.csv") == tmp_path / "a" / "b.csv"
    for name, words in (
        ("../b", "outside"),
        ("a/../../b", "outside"),
        ("/etc/b", "outside"),
        ("link", "exists"),
    ):
        with pytest.raises(DeepAnalyzeError, match=words):
            _target(tmp_path, name)
