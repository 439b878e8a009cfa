"""The conversation of `deepanalyze sources add`."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from deepanalyze.cli.client import Asker
from deepanalyze.cli.prompting import ask, can_ask
from deepanalyze.cli.sources.names import SOURCES
from deepanalyze.cli.sources.values import ask_secret, typed
from deepanalyze.errors import DeepAnalyzeError


async def described(
    asker: Asker, name: str | None, type_name: str | None, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Type, name and parameters, checked by the server: what is not given is asked for, where somebody can answer."""
    templates = (await asker.get(f"{SOURCES}/templates"))["data"]
    if type_name is None and can_ask():
        type_name = _chosen("Which type of source is it?", [each["type"] for each in templates])
    filled = dict(config)
    if can_ask() and not filled:
        filled = _asked_for(_template(templates, type_name))
    if name is None and can_ask():
        name = ask("A name for it")
    body = {"type": type_name, "name": name, "config": filled}
    verdict = await asker.post(f"{SOURCES}/validate", body)
    if not verdict["valid"] or name is None:
        raise DeepAnalyzeError(f"{verdict['next']} (with --set name=value, or --secret name for a secret)")
    return body


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
    return typed(ask(name, default=default))


def _is_secret(described: Mapping[str, Any]) -> bool:
    return bool(described.get("writeOnly")) or any(
        option.get("writeOnly") for option in described.get("anyOf", ())
    )


def _chosen(question: str, options: Sequence[str]) -> str:
    typer.echo(question, err=True)
    for number, option in enumerate(options, 1):
        typer.echo(f"  {number}  {option}", err=True)
    number = int(ask("Number", type=int))
    if not 1 <= number <= len(options):
        raise DeepAnalyzeError(f"there is no number {number}; there are 1 to {len(options)}")
    return options[number - 1]
