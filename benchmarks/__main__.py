"""`python -m benchmarks [NAME …]`: without names all of them, in order."""

from __future__ import annotations

import argparse
import importlib

NAMES = ("startup", "postgres", "blob", "catalogue", "guard", "api", "sandbox", "demo")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(NAMES)}")
    for name in parser.parse_args().names or NAMES:
        if name not in NAMES:
            parser.error(f"no benchmark {name!r}; there are {', '.join(NAMES)}")
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
