# mypy: disallow-untyped-calls = False
"""The kernel itself: ipykernel, with texts cut to a bound and figures turned into files."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from ipykernel.iostream import IOPubThread
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.session import Session
from traitlets.config import Config

from . import display, fonts, libraries, loading, tracebacks
from .bounds import BoundedStream, bounded
from .figures import Figures

_SOCKETS = ("shell", "iopub", "stdin", "control", "hb")


class _BoundedSession(Session):
    """Nothing leaves the kernel that is too large for the server to take."""

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(msg_or_type, str):
            content = bounded(content)
        else:
            msg_or_type = {**msg_or_type, "content": bounded(msg_or_type.get("content"))}
        return super().send(stream, msg_or_type, content, *args, **kwargs)


class _App(IPKernelApp):
    def write_connection_file(self, **kwargs: Any) -> None:
        """The server knows it all."""

    def log_connection_info(self) -> None:
        """Nobody else may connect."""

    def init_control(self, context: Any) -> None:
        super().init_control(context)
        endpoint = self.shell_socket.last_endpoint
        if endpoint:  # a debugger's way back to the shell; here it would knock at a closed door for ever
            self.debug_shell_socket.disconnect(endpoint)

    def init_poller(self) -> None:
        """The sandbox ends with the server by other means."""


def main() -> None:
    runtime, workspace, output_bytes, *libraries_to_load = sys.argv[1:]
    sys.argv[1:] = []
    ready, complaints = os.dup(1), os.dup(2)  # before ipykernel takes both for the code
    try:
        app = _ready_app(Path(runtime), Path(workspace), int(output_bytes))
    except BaseException:
        os.write(complaints, traceback.format_exc().encode())
        raise
    os.write(ready, b"ready\n")
    os.close(ready)
    os.close(complaints)
    libraries.preload(libraries_to_load)
    app.start()


def _ready_app(runtime: Path, workspace: Path, output_bytes: int) -> Any:
    key_file = runtime / "key"
    key = key_file.read_bytes()
    key_file.unlink()
    fonts.use_list(runtime)
    setattr(IOPubThread, "_setup_pipe_in", _without_tcp)  # noqa: B010
    app = _App.instance(config=_configuration(f"{runtime}/s"), session=_BoundedSession(key=key))
    app.initialize([])
    _prepare(app.kernel, workspace, output_bytes)
    return app


def _without_tcp(thread: Any) -> None:
    """Forked processes print to the captured descriptor instead, see BoundedStream."""
    thread._pipe_flag = False


def _configuration(sockets: str) -> Config:
    config = Config()
    config.IPKernelApp.kernel_class = IPythonKernel
    config.IPKernelApp.transport = "ipc"
    config.IPKernelApp.ip = sockets
    for number, name in enumerate(_SOCKETS, start=1):
        config.IPKernelApp[f"{name}_port"] = number
    config.IPKernelApp.outstream_class = f"{BoundedStream.__module__}.BoundedStream"
    config.IPKernelApp.connection_file = os.path.join(os.environ["HOME"], "kernel.json")
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    config.InteractiveShell.cache_size = 0
    config.IPCompleter.use_jedi = False
    return config


def _prepare(kernel: Any, workspace: Path, output_bytes: int) -> None:
    shell = kernel.shell
    figures = Figures(workspace)
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, BoundedStream)]
    for stream in streams:
        stream.limit = output_bytes
        stream.forget_original()
    display.text_only(shell, figures)
    tracebacks.shorten(shell)
    shell.user_ns["load"] = loading.load
    libraries.watch_imports(figures)

    def begin(*_: Any) -> None:
        for stream in streams:
            stream.begin_block()

    def finish(*_: Any) -> None:
        for stream in streams:
            stream.finish_block()
        figures.save_open()

    shell.events.register("pre_run_cell", begin)
    shell.events.register("post_run_cell", finish)


if __name__ == "__main__":
    main()
