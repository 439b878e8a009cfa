"""One run of the demo, from an empty directory to the printed report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
from rich.console import Console

from deepanalyze.cli.demo.asking import Answer, ask, download
from deepanalyze.cli.demo.display import Display
from deepanalyze.cli.demo.question import QUESTION, REFERENCES
from deepanalyze.cli.demo.sources import message_of, register
from deepanalyze.cli.dev import load_sample_data
from deepanalyze.cli.server import Running, listen, running
from deepanalyze.devservices import open_services
from deepanalyze.errors import DeepAnalyzeError, StartupError

if TYPE_CHECKING:
    from deepanalyze.cli.demo.command import Options
    from deepanalyze.settings import Settings

PROFILER = "deepanalyze-profiler"


async def run_demo(settings: Settings, home: Path, options: Options, began: float) -> None:
    console = Console(stderr=options.json)  # with --json, standard output holds the summary alone
    try:
        with _listen(settings, options.any_port) as listener:
            await _demo(settings, home, options, began, console, listener)
    except DeepAnalyzeError as error:
        if options.json:
            print(json.dumps({"ok": False, "error": error.message, "code": error.code}), flush=True)
        raise


async def _demo(
    settings: Settings,
    home: Path,
    options: Options,
    began: float,
    console: Console,
    listener: socket.socket,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        services, server = await _start(stack, settings, home, listener)
        sample = await load_sample_data(services, console)
        key = settings.admin_api_key.get_secret_value() if settings.admin_api_key else ""
        headers = {"Authorization": f"Bearer {key}"}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60)
        )
        await register(client, sample.postgres_config, sample.blob_config)
        model = await _model(client, settings)
        console.print(f"\n[bold]{QUESTION}[/bold] [dim](answered by {model})[/dim]\n")
        answer = await _ask(server.url, key, model, console)
        directory = home / "reports" / time.strftime("%Y%m%d-%H%M%S")
        saved = await download(client, answer, directory)
        _tell_files(console, saved, directory)
        if options.json:
            print(json.dumps(summary(answer, saved, time.monotonic() - began)), flush=True)
        if not options.once:
            _tell_how_to_go_on(console, server.url, key, model)
            await asyncio.Event().wait()


async def _start(
    stack: contextlib.AsyncExitStack, settings: Settings, home: Path, listener: socket.socket
) -> tuple[Any, Running]:
    services = await stack.enter_async_context(open_services(home / "services"))
    server = await stack.enter_async_context(running(settings, listener))
    return services, server


def _listen(settings: Settings, any_port: bool) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except StartupError:
        if not any_port:
            raise
        return listen(settings.host, 0)


async def _model(client: httpx.AsyncClient, settings: Settings) -> str:
    """The configured model server's first model, or the profiler where there is none."""
    if not settings.configured_models:
        return PROFILER
    if named := settings.configured_models[0].id:
        return named
    listed = await client.get("/v1/models")
    if listed.status_code != httpx.codes.OK:
        raise DeepAnalyzeError(f"models: {message_of(listed)}")
    ids = [str(m["id"]) for m in listed.json()["data"] if m["id"] != PROFILER]
    if not ids:
        base_url = settings.configured_models[0].base_url
        raise StartupError(
            f"the model server at {base_url} lists no model; start it, or unset DEEPANALYZE_MODEL_BASE_URL"
        )
    return ids[0]


async def _ask(url: str, key: str, model: str, console: Console) -> Answer:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=3600) as client:
        with Display(console) as display:
            return await ask(client, model, QUESTION, REFERENCES, display)


def summary(answer: Answer, saved: list[Path], seconds: float) -> dict[str, Any]:
    """The `--json` line. `sources` groups what was fetched by data source."""
    sources: dict[str, dict[str, Any]] = {}
    for fetched in answer.data_sources:
        entry = sources.setdefault(
            fetched["source_id"],
            {"name": fetched["name"], "type": fetched["type"], "files": [], "rows": None, "bytes": 0},
        )
        entry["files"].append(fetched["file"])
        entry["bytes"] += fetched["bytes"]
        if fetched.get("rows") is not None:
            entry["rows"] = (entry["rows"] or 0) + fetched["rows"]
    report = next((str(path) for path in saved if path.suffix == ".md"), None)
    return {
        "ok": True,
        "seconds": round(seconds, 2),
        "sources": list(sources.values()),
        "code_blocks": answer.code_blocks,
        "report": report,
        "files": [str(path) for path in saved],
        "answer_chars": len(answer.text),
    }


def _tell_files(console: Console, saved: list[Path], directory: Path) -> None:
    console.print(f"\n[bold]Report and charts[/bold] are in {directory}")
    for path in saved:
        console.print(f"  {path.relative_to(directory)}", highlight=False, markup=False)


def _tell_how_to_go_on(console: Console, url: str, key: str, model: str) -> None:
    body = json.dumps(
        {
            "model": model,
            "messages": [
                {"role": "user", "content": "Which carriers have the highest average departure delay?"}
            ],
            "data_sources": [REFERENCES[1]],
        }
    )
    console.print(
        f"\n[bold]The server stays up[/bold] at {url} (API documentation: {url}/docs); Ctrl-C ends it."
    )
    console.print(f"API key: {key}", highlight=False, soft_wrap=True)
    print_line = (
        f"curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
    console.print(f"Go on with:\n{print_line}", highlight=False, soft_wrap=True, markup=False)
