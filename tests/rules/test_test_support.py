"""The machinery that all tests stand on is itself tested: skips that fail a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

THREE_TESTS = """
import pytest

def test_fine(): pass

@pytest.mark.skip(reason="no sextant on this machine")
def test_skipped(): pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_failure(): assert False
"""


MODULE_THAT_SKIPS = "import pytest\npytest.importorskip('no_such_module_anywhere')\n"


def run_pytest(folder: Path, root: Path, *arguments: str, require: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_three.py").write_text(THREE_TESTS)
    (folder / "test_module.py").write_text(MODULE_THAT_SKIPS)
    environment = {**os.environ, "PYTHONPATH": str(root), "ENTREPOT_TEST_REQUIRE": require}
    environment.pop("PYTEST_ADDOPTS", None)
    # A folder of its own, or it would clear away what earlier runs of this machine left, which can take minutes.
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.require", "--rootdir", "."]
    command += ["--basetemp", str(folder.parent / f"{folder.name}-nested")]
    for heavy in ("cacheprovider", "schemathesis", "hypothesispytest"):
        command += ["-p", f"no:{heavy}"]
    return subprocess.run([*command, *arguments, "."], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_a_skip_fails_the_run_when_everything_is_required(tmp_path: Path, root: Path, workers: list[str]) -> None:
    done = run_pytest(tmp_path, root, *workers, require="all")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    listed = done.stdout.split("skipped, but ENTREPOT_TEST_REQUIRE=all")[1]
    assert "test_three.py::test_skipped: no sextant on this machine" in listed
    assert "test_module.py: could not import 'no_such_module_anywhere'" in listed
    assert "test_expected_failure" not in listed


def test_a_skip_is_only_a_skip_otherwise(tmp_path: Path, root: Path) -> None:
    assert run_pytest(tmp_path, root, require="").returncode == pytest.ExitCode.OK
