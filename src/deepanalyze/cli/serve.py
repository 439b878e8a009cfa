"""`deepanalyze serve`: the API, until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepanalyze.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    from deepanalyze.runtime import Runtime
    from deepanalyze.settings import Settings

Host = Annotated[
    str | None, typer.Option("--host", help="The address to listen on.", show_default="127.0.0.1")
]
Port = Annotated[
    int | None, typer.Option("--port", help="The port to listen on; 0 takes a free one.", show_default="8200")
]
LogLevel = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")]


def serve(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    log_level: LogLevel = None,
) -> None:
    """Serve the API until Ctrl-C. Every setting can also come from DEEPANALYZE_* or the configuration file.

    SIGHUP reloads the data sources and users that the file declares; other settings wait for the next start.
    """
    from deepanalyze.cli.failures import told_clearly
    from deepanalyze.cli.loop import run
    from deepanalyze.configured import load_configuration
    from deepanalyze.logging import configure_logging

    with told_clearly():
        flags = {"data_dir": data_dir, "host": host, "port": port, "log_level": log_level}
        settings = load_configuration(flags, config)
        configure_logging(settings.log_level, settings.log_format)
        run(_serve(settings))


async def _serve(settings: Settings) -> None:
    import asyncio
    import signal

    from deepanalyze.cli.server import listen, running

    changed = asyncio.Event()  # heard from the beginning: unheard, the signal ends the process
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, changed.set)
    with listen(settings.host, settings.port) as listener:
        async with running(settings, listener) as server:
            _announce(server.url, server.runtime)
            telling = asyncio.create_task(
                _tell_of_models(server.runtime)
            )  # what may take a while to find out
            try:
                while await changed.wait():
                    changed.clear()
                    await server.runtime.configured.reload()
            finally:
                telling.cancel()


def _announce(url: str, runtime: Runtime) -> None:
    """What a person at the terminal needs: where, with which key, and what is not as good as it could be."""
    print(f"DeepAnalyze answers at {url} (API documentation: {url}/docs)", flush=True)
    if runtime.new_admin_key:
        print(f"Admin API key, shown only now: {runtime.new_admin_key}", flush=True)
    isolation = runtime.sandbox.isolation
    for sentence in isolation.weaker:
        print(f"Sandbox ({isolation.name}): {sentence}", flush=True)
    if isolation.remedy:
        print(f"Sandbox: {isolation.remedy}", flush=True)


async def _tell_of_models(runtime: Runtime) -> None:
    for problem in await runtime.models.probed():
        print(f"Models: {problem}", flush=True)
