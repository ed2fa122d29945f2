"""Rules about the product's source that neither ruff nor import-linter can say."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.support.sources import Module, imports, modules, on_floors, used_names

ABOVE_THE_STORE = ("jobs", "depot", "wire", "http", "dialects", "web")
TIMED_BY_THE_CLOCK = ("model", "store", "catalog", "jobs", "depot", "wire", "http", "dialects", "web")
RUNS_ON_WINDOWS = ("", "_version", "model", "wire", "client", "cli")
SERVER_COMMANDS = {f"entrepot.cli.{noun}" for noun in ("serve", "worker", "demo", "gc", "backup", "verify", "token")}

# Exceptions: "module: name" and the reason. An entry that is no longer needed fails the test.
MAY_OPEN_FILES: dict[str, str] = {
    "entrepot.jobs.nudge: os.open": "the folder of the workers' sockets, whose path may be too long for an address",
    "entrepot.jobs.presence: os.open": "lock files without content, by which workers know of each other",
}
MAY_IMPORT_BY_NAME = {
    "entrepot.cli.commands: importlib.import_module": "a command's own module, by the table beside it: --help is fast"
}
MAY_ASK_THE_TIME = {"entrepot.depot.context: datetime.datetime.now": "the system's clock itself"}
MAY_BE_POSIX_ONLY: dict[str, str] = {}

OPENS_FILES = {"open", "os.open", "os.fdopen", "io.open", "codecs.open", "tempfile.*", "shutil.*"}
OPENING_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "open"}
IMPORTS_BY_NAME = {"__import__", "importlib.import_module", "importlib.util.*", "importlib.machinery.*", "runpy.*"}
ASKS_THE_TIME = {
    "time.time",
    "time.time_ns",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.date.today",
}
POSIX_MODULES = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "posix"}
POSIX_NAMES = {
    *(
        "os." + name
        for name in ("fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "chown", "fchown", "lchown")
    ),
    *(
        "os." + name
        for name in ("pread", "pwrite", "preadv", "pwritev", "sendfile", "posix_fallocate", "posix_fadvise")
    ),
    *("os." + name for name in ("setsid", "killpg", "getpgid", "uname", "mkfifo", "mknod", "statvfs", "nice", "wait4")),
    *("os." + name for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECT", "fchmod", "WNOHANG")),
    *("signal." + name for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGCHLD", "alarm", "pause")),
    *("socket." + name for name in ("AF_UNIX", "socketpair", "SO_PEERCRED")),
    *("asyncio." + name for name in ("open_unix_connection", "start_unix_server")),
}


def complaints(checked: list[Module], patterns: set[str], allowed: dict[str, str]) -> list[str]:
    """Uses of the patterns outside the allow list, and entries of the allow list without a use."""
    unused = set(allowed)
    found = []
    beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith(".*"))
    for module in checked:
        for line, name in module.used:
            if name in patterns or name.startswith(beginnings):
                key = f"{module.name}: {name}"
                unused.discard(key)
                if key not in allowed:
                    found.append(f"{module.path}:{line}: {name}")
    return found + [f"{key}: allowed, but not used any more" for key in sorted(unused)]


def test_nobody_above_the_store_opens_files() -> None:
    assert complaints(on_floors(*ABOVE_THE_STORE), OPENS_FILES, MAY_OPEN_FILES) == []


def test_nobody_above_the_store_opens_files_through_a_path() -> None:
    found = []
    for module in on_floors(*ABOVE_THE_STORE):
        if not any(name.split(".")[0] == "pathlib" for _, name in imports(module.tree)):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in OPENING_METHODS:
                if isinstance(node.value, ast.Name) and node.value.id == "os":
                    continue  # judged by the rule above
                key = f"{module.name}: {node.attr}"
                if key not in MAY_OPEN_FILES:
                    found.append(f"{module.path}:{node.lineno}: .{node.attr}")
    assert found == []


def test_nobody_imports_by_name_behind_import_linters_back() -> None:
    checked = [module for module in modules() if module.floor != "testing"]
    assert complaints(checked, IMPORTS_BY_NAME, MAY_IMPORT_BY_NAME) == []


def test_time_comes_from_the_clock() -> None:
    assert complaints(on_floors(*TIMED_BY_THE_CLOCK), ASKS_THE_TIME, MAY_ASK_THE_TIME) == []


def test_what_a_windows_machine_runs_uses_nothing_posix_only() -> None:
    checked = [module for module in on_floors(*RUNS_ON_WINDOWS) if module.name not in SERVER_COMMANDS]
    found = complaints(checked, POSIX_NAMES, MAY_BE_POSIX_ONLY)
    for module in checked:
        found += [
            f"{module.path}:{line}: import {name}"
            for line, name in imports(module.tree)
            if name.split(".")[0] in POSIX_MODULES
        ]
    assert found == []


def test_the_model_is_plain_python() -> None:
    """No third party, no input or output, nothing that knows where it runs."""
    forbidden = {"os", "io", "socket", "ssl", "subprocess", "shutil", "tempfile", "sqlite3", "http", "asyncio"}
    found = []
    for module in on_floors("model"):
        for line, name in imports(module.tree):
            top = name.split(".")[0]
            ours = name.startswith("entrepot.model.") or name == "entrepot.model"
            if not ours and (top not in sys.stdlib_module_names or top in forbidden):
                found.append(f"{module.path}:{line}: import {name}")
        found += [f"{module.path}:{line}: {name}" for line, name in module.used if name in ("open", "print")]
    assert found == []


def test_cli_modules_import_the_server_only_when_a_command_runs() -> None:
    """`entrepot --help` must work, and start fast, where no server is installed."""
    found = []
    for module in on_floors("cli", "client", "daemon", ""):
        for node in module.tree.body:
            wanted = list(imports(ast.Module(body=[node], type_ignores=[])))
            if isinstance(node, ast.Import | ast.ImportFrom):
                found += [
                    f"{module.path}:{line}: {name}" for line, name in wanted if name.startswith("entrepot.server")
                ]
    assert found == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_says_why_it_exists(module: Module) -> None:
    docstring = ast.get_docstring(module.tree)
    assert docstring, f"{module.path} has no docstring"
    assert docstring.strip()[0].isupper() or docstring.strip()[0] in "`'\"", f"{module.path}: {docstring[:40]!r}"


def test_no_module_is_too_long_to_read() -> None:
    """But a migration: it spells out a whole schema as it was, and is never edited."""
    checked = [module for module in modules() if ".migrations.versions." not in module.name]
    assert [f"{module.path}: {module.lines} lines" for module in checked if module.lines > 600] == []


def test_nothing_is_left_for_later() -> None:
    """Do it, or say in the change that it is not there; a marker in the code is neither."""
    marks = ("TO" + "DO", "FIX" + "ME", "XXX", "HACK")
    found = []
    for module in modules():
        for number, line in enumerate(module.path.read_text(encoding="utf-8").splitlines(), start=1):
            found += [f"{module.path}:{number}: {mark}" for mark in marks if mark in line]
        found += [f"{module.path}:{n}: {name}" for n, name in module.used if name == "NotImplementedError"]
    assert found == []


def test_names_resolve_through_aliases() -> None:
    """The rules above stand on this: an alias must not hide a name."""
    tree = ast.parse(
        "import os as o\nfrom datetime import datetime as dt\nfrom os import fork\no.fork(); dt.now(); fork()"
    )
    names = {name for _, name in used_names(tree)}
    assert {"os.fork", "datetime.datetime.now"} <= names
