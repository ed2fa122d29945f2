"""Every benchmark can be found, says what it measures, and can be run by its name."""

from __future__ import annotations

import subprocess
import sys

import bench.__main__ as runner
from tests.support.sources import ROOT


def test_every_module_of_bench_is_a_benchmark_or_private() -> None:
    names = {path.stem for path in (ROOT / "bench").glob("*.py") if not path.stem.startswith("_")}
    assert names == set(runner.found()), "a module of bench/ without main() needs a leading underscore"


def test_every_benchmark_says_what_it_measures() -> None:
    assert [name for name, says in runner.found().items() if not says] == []


def test_benchmarks_are_listed_without_importing_them() -> None:
    command = [sys.executable, "-m", "bench", "--list"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(runner.found())
