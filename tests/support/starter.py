"""Python programs as processes, without the seconds that each takes to import what it needs.

    with Started([sys.executable, "-m", "entrepot.server", "serve", …], stdout=PIPE, text=True) as process: …

The first of them starts a *starter*: a process of its own that has everything imported and does nothing else. Each
program is a fork of that, with the arguments, the environment, the folder and the standard files that it was given,
and runs as the interpreter would run it (`-m`, `-c` or a file). It is a child of the test process, which waits for it
and kills it as any other.
A server's own processes come from it too: the one that they are copied from (`entrepot.server.copies`) is forked
instead of started, and then does what it always does.
Processes that read tables, those of servers too, come from a starter with their environment, in which is nothing but
what they load.

What is a program's own start, and not what it does afterwards, is asked with `subprocess.Popen`: what it imports, how
large it is, how it ends. So are programs that are given descriptors, and those whose environment means something to
the interpreter or to a library that reads it when it is imported. `make soak` starts every program anew.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Started", "run"]

ROOT = Path(__file__).resolve().parent.parent.parent

# Of <linux/prctl.h>.
_SET_CHILD_SUBREAPER = 36
_MOST = 1 << 20
#: What the interpreter, the C library or a library of ours reads only once.
_READ_ONCE = ("PYTHON", "LANG", "LC_", "TZ", "MALLOC_", "LD_", "PROMETHEUS_")
#: Several answering processes count together, by a variable that is read when the library is imported.
_ALONE = "workers="
#: What is loaded by a process that reads tables, by whatever it is asked.
_OF_TABLES = ("asking", "convert", "items", "looking", "reading")
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


class Started(subprocess.Popen[Any]):
    """`subprocess.Popen`, which it is where it cannot be quicker."""

    def _execute_child(self, *given: Any, **named: Any) -> None:
        usual = super()._execute_child  # type: ignore[misc]
        how = inspect.signature(usual).bind(*given, **named).arguments
        words = how["args"]
        starter = _starter_for(words, how)
        if starter is None:
            usual(*given, **named)
            return
        files = [
            theirs if theirs != -1 else inherited
            for theirs, inherited in ((how["p2cread"], 0), (how["c2pwrite"], 1), (how["errwrite"], 2))
        ]
        order = {
            "words": [os.fspath(word) for word in words[1:]],
            "environment": dict(os.environ if how["env"] is None else how["env"]),
            "folder": os.fspath(how["cwd"] or os.getcwd()),
            "session": bool(how["start_new_session"]),
        }
        try:
            self.pid: int = starter.start(order, files)
            self._child_created = True
        finally:
            self._close_pipe_fds(*(how[name] for name in _PIPES))  # type: ignore[attr-defined]


def run(
    words: list[str], *, capture_output: bool = False, timeout: float | None = None, check: bool = False, **how: Any
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run`, as far as tests of programs use it."""
    if capture_output:
        how |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Started(words, **how) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(words, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _starter_for(words: Any, how: dict[str, Any]) -> _Starter | None:
    """Whose fork this program can be; None where it has to be started itself."""
    if sys.platform != "linux" or os.environ.get("ENTREPOT_TEST_PROFILE") == "soak":
        return None
    if isinstance(words, str | bytes | os.PathLike) or how["shell"] or how["pass_fds"]:
        return None
    given = [os.fspath(word) for word in words]
    if given[0] != sys.executable or len(given) < 2 or any(word.startswith(_ALONE) for word in given):
        return None
    if given[1] not in ("-m", "-c") and not given[1].endswith(".py"):
        return None
    others = ("preexec_fn", "executable", "gid", "gids", "uid")
    if any(how.get(name) is not None for name in others) or how.get("umask", -1) >= 0:
        return None
    if given[1:3] == ["-m", "entrepot.tabular.child"] and how["env"] is not None:
        return _starter("tables", how["env"])
    if how["env"] is not None and _read_once(how["env"]) != _read_once(os.environ):
        return None
    return _starter("programs", os.environ)


def _read_once(environment: Any) -> dict[str, str]:
    # Where modules are found is no question: they are there already.
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_ONCE) and name != "PYTHONPATH" and value
    }


class _Starter:
    """A starter of this test process.

    Args:
        what: A name in `_IMPORTS`.
        environ: What libraries read when they are imported; each program has the environment that it was given.
    """

    #: Of all starters: whose processes look for another parent is a matter of the whole process.
    _lock = threading.Lock()

    def __init__(self, what: str, environ: Mapping[str, str]) -> None:
        self._libc = ctypes.CDLL(None)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.starter", what, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
                cwd=ROOT,
            )
        self._control = ours
        atexit.register(self.close)

    def start(self, order: dict[str, Any], files: list[int]) -> int:
        """The new process, a child of this one."""
        with self._lock:
            # Whoever forks it ends at once, so that it looks for another parent and finds the nearest who wants it.
            self._libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._control, [json.dumps(order).encode()], files)
                told = self._control.recv(64)
            finally:
                self._libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        assert told, "the starter of test programs has ended"
        return int(told)

    def close(self) -> None:
        self._control.close()
        self._process.wait()


_made: dict[tuple[str, frozenset[tuple[str, str]]], _Starter] = {}
_making = threading.Lock()


def _starter(what: str, environ: Mapping[str, str]) -> _Starter:
    with _making:
        key = (what, frozenset(_read_once(environ).items()))
        if key not in _made:
            _made[key] = _Starter(what, environ)
        return _made[key]


# --- in the starter -------------------------------------------------------------------------------------------------


def _import_programs() -> None:
    import httpx2
    import sqlalchemy.dialects.postgresql.psycopg
    import sqlalchemy.dialects.sqlite  # noqa: F401
    import uvloop  # noqa: F401

    from entrepot.catalog import migrations  # noqa: F401
    from entrepot.cli.commands import COMMANDS
    from entrepot.server import __main__, asgi, backups, commands, doctor, process, worker  # noqa: F401
    from tests.support import authorities, forked, nursery  # noqa: F401

    authorities.share()
    httpx2.Client().close()
    for name in sorted({module for section in COMMANDS.values() for module, _ in section.values()}):
        importlib.import_module(f"entrepot.cli.{name}")


def _import_tables() -> None:
    for name in _OF_TABLES:
        importlib.import_module(f"entrepot.tabular.{name}")


_IMPORTS: dict[str, Callable[[], None]] = {"programs": _import_programs, "tables": _import_tables}


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork until nobody asks any more; in each fork, what it is to do."""
    while True:
        try:
            told, files, _, _ = socket.recv_fds(control, _MOST, 3)
        except ConnectionResetError:
            return None
        if not told:
            return None
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            ours = os.getpid()
            pid = os.fork()
            if pid:
                os.write(writing, str(pid).encode())
                os._exit(0)
            control.close()
            os.close(reading)
            os.close(writing)
            for wanted, given in enumerate(files):
                os.dup2(given, wanted)
                os.close(given)
            # Some programs end with their parent, which must not be the one in between.
            while os.getppid() == ours:
                time.sleep(0.0005)
            order: dict[str, Any] = json.loads(told)
            return order
        os.close(writing)
        os.waitpid(between, 0)
        pid_text = os.read(reading, 64)
        os.close(reading)
        for one in files:
            os.close(one)
        control.send(pid_text)


def _become(order: dict[str, Any]) -> NoReturn:
    """In a fork: be the program that was asked for."""
    code = 1
    try:
        if order["session"]:
            os.setsid()
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        _copy_instead_of_starting()
        _fork_readers_of_tables()
        kind, *words = order["words"]
        if kind == "-m":
            sys.argv = words
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        elif kind == "-c":
            sys.argv = [kind, *words[1:]]
            exec(words[0], sys.modules["__main__"].__dict__)
        else:
            sys.argv = order["words"]
            runpy.run_path(kind, run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = _code(ended)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    _end(code)


def _code(ended: SystemExit) -> int:
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    print(ended.code, file=sys.stderr)
    return 1


def _end(code: int) -> NoReturn:
    """As an interpreter ends, but for taking everything apart that it has imported."""
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            code = code or 120
    os._exit(code & 0xFF)


def _copy_instead_of_starting() -> None:
    """The library starts its fork server with an interpreter of its own; here that is a fork, with all imported."""
    from multiprocessing import util

    start = util.spawnv_passfds

    def copy(path: Any, words: Any, kept: Any) -> int:
        # Where there are threads nobody can be forked safely.
        if words[-2] != "-c" or threading.active_count() > 1:
            return start(path, words, kept)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            low = 3
            for fd in sorted(map(int, kept)):
                os.closerange(low, fd)
                low = max(low, fd + 1)
            os.closerange(low, os.sysconf("SC_OPEN_MAX"))
            exec(words[-1], {"__name__": "__main__"})
            code = 0
        except SystemExit as ended:
            code = _code(ended)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stderr.flush()
            os._exit(code)

    util.spawnv_passfds = copy  # type: ignore[assignment]


def _fork_readers_of_tables() -> None:
    """A server asks several; each of its processes has a starter of its own for them, as they are children of that."""
    from functools import partial

    from entrepot.server import compose

    if isinstance(compose.Processes, type):
        compose.Processes = partial(compose.Processes, begin=Started)  # type: ignore[misc, assignment]


def main(what: str, control: socket.socket) -> None:
    import gc

    # Interrupting the tests ends them, and that ends the starter.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _IMPORTS[what]()
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
    gc.collect()
    gc.freeze()
    order = _serve(control)
    if order is None:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _become(order)


if __name__ == "__main__":
    main(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
