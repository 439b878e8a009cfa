"""Sets up the libraries that code imports, at the moment it imports them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .figures import Figures

_BACKEND = f"{__package__}.backend"
_CJK = "Noto Sans CJK SC"
_PANDAS_OPTIONS = {
    "display.width": 200,
    "display.max_columns": 40,
    "display.max_colwidth": 100,
    "io.excel.xlsx.reader": "openpyxl",  # beside calamine, pandas 3 warns that this default will change
}


def watch_imports(figures: Figures) -> None:
    sys.meta_path.insert(
        0,
        _Watcher(
            {
                _BACKEND: lambda module: setattr(module, "show", lambda *_, **__: figures.save_open()),
                "matplotlib": _set_up_matplotlib,
                "matplotlib.figure": lambda module: figures.note_saving(module.Figure),
                "matplotlib.font_manager": lambda module: add_fonts(module.fontManager),
                "pandas": _set_up_pandas,
                "plotly.io._renderers": lambda module: _set_up_plotly(module, figures),
            }
        ),
    )


def preload(names: Sequence[str]) -> None:
    """While the server still fetches the data."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _set_up_matplotlib(module: Any) -> None:
    module.rcParams["backend"] = f"module://{_BACKEND}"
    if _bundled_fonts():
        module.rcParams["font.family"] = ["sans-serif", _CJK]  # the second draws what the first cannot


def add_fonts(manager: Any) -> None:
    """Makes the fonts of the mplfonts package known; SimHei is what most Chinese code asks for by name."""
    known = {font.fname for font in manager.ttflist}
    for path in _bundled_fonts():
        if str(path) not in known:
            with contextlib.suppress(Exception):
                manager.addfont(str(path))


def _bundled_fonts() -> list[Path]:
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec("mplfonts")
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0], "fonts")
            return [
                path
                for name in ("NotoSansCJKsc-Regular.otf", "SimHei.ttf")
                if (path := folder / name).exists()
            ]
    return []


def _set_up_pandas(module: Any) -> None:
    for name, value in _PANDAS_OPTIONS.items():
        module.set_option(name, value)


def _set_up_plotly(module: Any, figures: Figures) -> None:
    class Renderer(module.ExternalRenderer):  # type: ignore[misc]
        def render(self, fig_dict: Any) -> None:
            graph_objects = importlib.import_module("plotly.graph_objects")
            print(figures.save_html(graph_objects.Figure(fig_dict, skip_invalid=True)))  # noqa: T201

    module.renderers["deepanalyze"] = Renderer()
    module.renderers.default = "deepanalyze"


class _Watcher(importlib.abc.MetaPathFinder):
    """Calls back once a module of the given name has been imported."""

    def __init__(self, callbacks: Mapping[str, Callable[[Any], None]]) -> None:
        self._callbacks = callbacks

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        callback = self._callbacks.get(fullname)
        if callback is None:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                _call_after(spec.loader, callback)
                return spec
        return None


def _call_after(loader: Any, callback: Callable[[Any], None]) -> None:
    execute = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        execute(module)
        with contextlib.suppress(Exception):  # a library we do not know well enough must still import
            callback(module)

    loader.exec_module = exec_module
