"""The table of commands, their helps, and how fast the first answer comes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.cli import plainly
from entrepot.cli.commands import COMMANDS, command
from entrepot.cli.main import run

NAMES = [name for section in COMMANDS.values() for name in section]
#: They write bytes, or run until they are ended: there is no value to print.
WITHOUT_JSON = {"cat", "serve", "worker", "demo", "daemon run"}


def leaves(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(found, "commands", None)
    if below is None:
        yield name, found
        return
    for child, inner in below.items():
        if not inner.hidden:
            yield from leaves(f"{name} {child}", inner)


LEAVES = [leaf for name in NAMES for leaf in leaves(name, command(name))]


@pytest.mark.parametrize(("name", "leaf"), LEAVES, ids=[name for name, _ in LEAVES])
def test_every_command_teaches_with_an_example_and_speaks_json(name: str, leaf: Any) -> None:
    assert leaf.help, f"{name} has no help"
    # login, logout and whoami are there twice; their examples have the short form.
    shown = f"entrepot {name}" in leaf.help or f"entrepot {name.removeprefix('auth ')}" in leaf.help
    assert shown, f"{name} shows no example of itself"
    options = {option for parameter in leaf.params for option in parameter.opts}
    assert ("--json" in options) == (name not in WITHOUT_JSON)


@pytest.mark.parametrize(("name", "leaf"), LEAVES, ids=[name for name, _ in LEAVES])
def test_every_option_says_what_it_is_for(name: str, leaf: Any) -> None:
    obvious = {"name", "description", "email", "first_name", "last_name", "slug"}
    silent = [
        parameter.name
        for parameter in leaf.params
        if not getattr(parameter, "help", None) and parameter.name not in obvious and parameter.name != "help"
    ]
    assert [found for found in silent if found not in {"path", "words"}] == []


def test_the_first_help_imports_nothing_heavy() -> None:
    """What it takes is Python and Typer: HTTP, validation, terminals and the server come when a command needs them."""
    heavy = (
        "{'httpx2', 'pydantic', 'rich', 'stamina', 'fsspec', 'sqlite3', 'asyncio', 'platformdirs', 'entrepot.client'}"
    )
    code = (
        "import sys; from entrepot.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        f"sys.exit(', '.join(sorted({heavy} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"entrepot --help imported {done.stderr.strip()}"
    assert "Move data" in done.stdout


def test_the_first_help_lists_every_command_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [name for name in NAMES if sum(line.startswith(f"  {name} ") for line in lines) != 1] == []


@pytest.mark.parametrize("words", ["user passwd", "user disable", "user enable", "user ls", "token ls", "project ls"])
def test_what_other_tools_call_a_command_is_understood(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words.split(), "--help"]) == 0
    assert "Example" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    import entrepot

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"entrepot {entrepot.__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["push"], ["push", "a"], ["ls", "--nonsense"], ["project", "x"]])
def test_a_wrong_command_line_is_2_and_says_what_is_wrong(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error" in shown.err


def test_without_a_server_one_is_told_to_log_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["whoami"]) == 4
    assert "entrepot login" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_URL", "http://127.0.0.1:9")
    assert run(["whoami", "--json"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Cannot reach http://127.0.0.1:9" in shown.err
    assert "Traceback" not in shown.err


def test_a_daemon_begins_without_what_reads_command_lines() -> None:
    """Somebody waits for it: Typer and what it loads would be more than half of that time."""
    code = (
        "import sys; from entrepot.cli import daemon_run; from entrepot.cli.main import run\n"
        "daemon_run.run = lambda *given: print(*given)\n"
        "assert run(['daemon', 'run', '--socket', '/s', '--idle', '5', '--limit-rate', '1M', '--slots', '2']) == 0\n"
        "from entrepot.daemon import process\n"
        "sys.exit(', '.join(sorted({'typer', 'pydantic', 'httpx2', 'rich'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "/s 5.0 1M 2\n"


@pytest.mark.parametrize(
    "words", [["--help"], ["--idle", "soon"], ["--slots", "65"], ["--socket"], ["--nonsense", "x"], ["--idle", "-1"]]
)
def test_other_words_for_a_daemon_are_the_librarys_to_judge(words: list[str]) -> None:
    assert not plainly.run(words)


def test_the_package_is_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("entrepot", run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out.split()[0]) == (0, "entrepot")
