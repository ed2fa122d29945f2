"""List and run benchmarks: every module of this package whose name has no leading underscore and has a `main`.

A benchmark is a module `bench/NAME.py` with a docstring that says what it measures and beside what, and
`main(arguments: list[str]) -> int`. It prints its figures and, if they are to be kept, writes them to
`bench/results/NAME.json` and `.md` with the machine, the number of runs, the median and the range.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent


def found() -> dict[str, str]:
    """Names of the benchmarks and the first line of what each says of itself; nothing is imported for that."""
    benchmarks = {}
    for path in sorted(HERE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        if has_main and not path.stem.startswith("_"):
            benchmarks[path.stem] = (ast.get_docstring(tree) or "").split("\n", 1)[0]
    return benchmarks


def main(arguments: list[str]) -> int:
    benchmarks = found()
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run all benchmarks, or one by its name.")
    parser.add_argument("--list", action="store_true", help="name them and stop")
    parser.add_argument("name", nargs="?", choices=sorted(benchmarks), metavar="NAME")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments of that benchmark")
    options = parser.parse_args(arguments)
    if options.list or not benchmarks:
        for name, says in benchmarks.items():
            print(f"{name:20} {says}")
        return 0
    status = 0
    for name in [options.name] if options.name else benchmarks:
        print(f"== {name}: {benchmarks[name]}", flush=True)
        status = importlib.import_module(f"bench.{name}").main(options.rest) or status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
