"""Commands that ask a server: one decorator gives them their server, its options and `--json`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, get_type_hints

import typer

from deepanalyze.cli.client.asker import Asker
from deepanalyze.cli.client.where import Where
from deepanalyze.cli.options import Json
from deepanalyze.cli.shown import Shown

P = ParamSpec("P")
_JSON = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Json)


def asks(command: Callable[Concatenate[Asker, P], Awaitable[Shown | None]]) -> Callable[..., None]:
    """Makes the Typer command of a coroutine function whose first parameter is the Asker.

    The command gets the options of `Where` and, unless it has one of its own, `--json`. It returns None when it has
    shown everything itself.
    """
    own = _parameters(command)[1:]
    shared = [_JSON] if all(p.name != _JSON.name for p in own) else []
    places = _parameters(Where)

    def run(**given: Any) -> None:
        where = Where(**{p.name: given.pop(p.name) for p in places})
        json = shared and given.pop(_JSON.name)
        _run(lambda asker: command(asker, **given), where, json=bool(json))  # type: ignore[call-arg]

    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared, *places)]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _parameters(made: Callable[..., Any]) -> list[inspect.Parameter]:
    """With their annotations as objects: Typer reads the options there."""
    hints = get_type_hints(made, include_extras=True)
    return [
        p.replace(annotation=hints.get(p.name, p.empty)) for p in inspect.signature(made).parameters.values()
    ]


def _run(command: Callable[[Asker], Awaitable[Shown | None]], where: Where, *, json: bool) -> None:
    from deepanalyze.cli.client.door import opened
    from deepanalyze.cli.failures import INTERRUPTED, told_clearly
    from deepanalyze.cli.loop import run

    async def main() -> None:
        async with opened(where) as client:
            found = await command(Asker(client))
        if found is not None:
            found.put(json=json)

    with told_clearly():
        if not run(main()):
            raise typer.Exit(INTERRUPTED)
