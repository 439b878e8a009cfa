"""`deepanalyze sources add`: a conversation, or all at once from options."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from deepanalyze.cli.sources.asking import Asker
from deepanalyze.cli.sources.display import Display
from deepanalyze.cli.sources.values import ask_secret, typed
from deepanalyze.errors import DeepAnalyzeError


async def add_source(
    asker: Asker,
    name: str | None,
    type_name: str | None,
    config: Mapping[str, Any],
    *,
    test: bool,
    json: bool,
) -> None:
    asking = sys.stdin.isatty() and not json
    templates = (await asker.get("/v1/data-sources/templates"))["data"]
    if type_name is None and asking:
        type_name = _chosen("Which type of source is it?", [each["type"] for each in templates])
    filled = dict(config)
    if asking and not filled:
        filled = _asked_for(_template(templates, type_name))
    if name is None and asking:
        name = typer.prompt("A name for it", err=True)
    await _check(asker, type_name, name, filled)
    body = {"type": type_name, "name": name, "config": filled, "test_connection": test}
    made = await asker.post("/v1/data-sources", body)
    if json:
        print(jsonlib.dumps(made, ensure_ascii=False, indent=2))
        return
    Display().source(made)
    print(f"Next: deepanalyze sources browse {made['name']}")


async def _check(asker: Asker, type_name: str | None, name: str | None, config: Mapping[str, Any]) -> None:
    """Says what to fill in next, before anything is tried."""
    verdict = await asker.post(
        "/v1/data-sources/validate", {"type": type_name, "name": name, "config": dict(config)}
    )
    if not verdict["valid"] or name is None:
        raise DeepAnalyzeError(f"{verdict['next']} (with --set name=value, or --secret name for a secret)")


def _template(templates: Sequence[Mapping[str, Any]], type_name: str | None) -> Mapping[str, Any]:
    found = next((each for each in templates if each["type"] == type_name), None)
    if found is None:
        known = ", ".join(each["type"] for each in templates)
        raise DeepAnalyzeError(f"there is no source type {type_name!r}; there are: {known}")
    return found


def _asked_for(template: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one way to connect, as the template's examples show them."""
    examples = template["examples"]
    title = _chosen("How does it connect?", [each["title"] for each in examples])
    example = next(each for each in examples if each["title"] == title)
    properties = template["schema"].get("properties", {})
    return {name: _value(name, properties.get(name, {}), shown) for name, shown in example["config"].items()}


def _value(name: str, described: Mapping[str, Any], shown: Any) -> Any:
    typer.echo(f"\n{described.get('description', '')}", err=True)
    if _is_secret(described):
        return ask_secret(name)
    default = jsonlib.dumps(shown) if not isinstance(shown, str) else shown
    return typed(typer.prompt(name, default=default, err=True))


def _is_secret(described: Mapping[str, Any]) -> bool:
    return bool(described.get("writeOnly")) or any(
        option.get("writeOnly") for option in described.get("anyOf", ())
    )


def _chosen(question: str, options: Sequence[str]) -> str:
    typer.echo(question, err=True)
    for number, option in enumerate(options, 1):
        typer.echo(f"  {number}  {option}", err=True)
    number = int(typer.prompt("Number", type=int, err=True))
    if not 1 <= number <= len(options):
        raise DeepAnalyzeError(f"there is no number {number}; there are 1 to {len(options)}")
    return options[number - 1]
