"""Commands that make, change and remove sources."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from deepanalyze.cli.client import Asker
from deepanalyze.cli.options import Yes
from deepanalyze.cli.prompting import confirm
from deepanalyze.cli.shown import Shown, said
from deepanalyze.cli.sources.adding import described
from deepanalyze.cli.sources.names import SOURCES, Name, of
from deepanalyze.cli.sources.values import given
from deepanalyze.errors import DeepAnalyzeError

Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A parameter as name=value; the value may be JSON. Again for each.",
        metavar="NAME=VALUE",
    ),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret", help="A parameter to ask for without showing it. Again for each.", metavar="NAME"
    ),
]
NoTest = Annotated[bool, typer.Option("--no-test", help="Store without connecting first.")]


async def add(
    asker: Asker,
    name: Annotated[str | None, typer.Argument(help="A name for the source.", metavar="NAME")] = None,
    type: Annotated[str | None, typer.Option("--type", help="The type of source, as postgresql.")] = None,
    values: Values = None,
    secrets: Secrets = None,
    no_test: NoTest = False,
) -> Shown:
    """Add a data source: asks for what is not given, hides secrets, connects, and says what to do next."""
    body = await described(asker, name, type, given(values or [], secrets or []))
    made = await asker.post(SOURCES, {**body, "test_connection": not no_test})

    def show() -> None:
        _show(made)
        print(f"Next: deepanalyze sources browse {shlex.quote(made['name'])}")

    return Shown(made, show)


async def edit(
    asker: Asker,
    name: Name,
    values: Values = None,
    secrets: Secrets = None,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    no_test: NoTest = False,
) -> Shown:
    """Change a data source; what is not named stays as it is. `--set name=null` takes a parameter away."""
    changes: dict[str, Any] = {}
    if config := given(values or [], secrets or []):
        changes["config"] = config
    if new_name is not None:
        changes["name"] = new_name
    if not changes:
        raise DeepAnalyzeError("nothing to change: give --set name=value, --secret name or --name")
    changed = await asker.patch(of(name), {**changes, "test_connection": not no_test})
    return Shown(changed, lambda: _show(changed))


async def remove(asker: Asker, name: Name, yes: Yes = False) -> Shown:
    """Remove a data source: its credentials are forgotten and its connections closed. Its data stay where they are."""
    source = await asker.get(of(name))
    confirm(f"Remove the data source {source['name']!r} ({source['type']})?", yes=yes)
    return said(await asker.delete(of(source["id"])), f"{source['name']} is removed.")


def _show(source: dict[str, Any]) -> None:
    from deepanalyze.cli.sources.display import Display

    Display().source(source)
