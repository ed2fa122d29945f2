"""`entrepot demo`: a server with real data in it, and a walk through what one does with it.

It runs a server of its own in a folder of its own and talks to it as anybody would: through the SDK, over HTTP, and
through the doors of other services. The data are the Palmer penguins (CC0), which come with Entrepot. With
ENTREPOT_DEMO_EXIT=1 everything is stopped at the end; otherwise the server goes on until Ctrl-C, so that one can look
around.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrepot.cli import output
from entrepot.model.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from entrepot.client.client import Client

app = typer.Typer(name="demo", rich_markup_mode=None, add_completion=False)

_EXIT = "ENTREPOT_DEMO_EXIT"
_PASSWORD = "ENTREPOT_ADMIN_PASSWORD"  # noqa: S105  the variable's name
_START_S = 60.0
_STOP_S = 10.0
_PROJECT = "antarctica"


@app.command()
def demo(
    data: Annotated[Path, typer.Option("--data", help="The folder of the demonstration.")] = Path(".demo"),
    port: Annotated[int, typer.Option(help="The port to listen at; 0 takes a free one.")] = 8080,
) -> None:
    """Start a server, push a real dataset to it, and show what one can do with that.

    Everything is under ./.demo; remove the folder to start anew. With ENTREPOT_DEMO_EXIT=1 the server is stopped at the
    end and no process is left.

    \b
    Examples:
      entrepot demo
      ENTREPOT_DEMO_EXIT=1 entrepot demo --data /tmp/demo --port 0
    """
    from entrepot.cli.serve import server_commands

    server_commands()
    source = _source()
    home = data.absolute()
    home.mkdir(parents=True, exist_ok=True)
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        # Neither the credentials nor the caches of whoever runs the demonstration.
        os.environ[variable] = str(home / "home")
    stay = os.environ.get(_EXIT) != "1"
    with _server(home / "server", port) as (url, password, process):
        _Walk(home, source, url, password).run()
        output.line("")
        if not stay:
            return
        output.line(f"The server goes on. Open  {url}/  in a browser")
        output.line(f"Log in as admin with the password  {password}")
        output.line("In another terminal:")
        output.line(f"  export ENTREPOT_URL={url}")
        output.line(f"  entrepot login {url} --user admin")
        output.line(f"  entrepot ls {_PROJECT}/penguins")
        output.line(f"  entrepot table head {_PROJECT}/complete-measurements")
        output.line("Ctrl-C ends it.")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            process.wait()


def _source() -> Path:
    """The folder with the penguins: in the installed package, or in the checkout that is worked in."""
    here = Path(__file__).resolve()
    for place in (here.parent / "demo_data" / "penguins", here.parents[3] / "examples" / "data" / "penguins"):
        if (place / "penguins.csv").is_file():
            return place
    raise NotFound("The demonstration's data are missing. Install the package again, or get examples/data/penguins.")


@contextlib.contextmanager
def _server(folder: Path, port: int) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """A server in a process of its own; its address, the password of its administrator, and the process."""
    password_file = folder.parent / "admin-password"
    if password_file.exists():
        password = password_file.read_text(encoding="utf-8").strip()
    else:
        import secrets

        password = secrets.token_urlsafe(9)
        handle = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(password + "\n")
    command = [sys.executable, "-m", "entrepot.cli.main", "serve", "--data", str(folder), "--port", str(port)]
    # Its own group: Ctrl-C in the terminal reaches us alone, and we end it in order.
    log = (folder.parent / "server.log").open("a", encoding="utf-8")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, _PASSWORD: password},
        start_new_session=True,
    )
    # A signal that would end us must end the server too.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _interrupt)
    try:
        yield _address(process, folder.parent / "server.log"), password, process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _address(process: subprocess.Popen[str], log: Path) -> str:
    """Where the server says that it listens, once it answers there.

    Raises:
        Unavailable: It ended instead, or does not come up.
    """
    assert process.stdout is not None
    url = None
    for line in process.stdout:
        if " serves " in line:
            url = line.rsplit(" ", 1)[-1].strip()
            break
    if url is None:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-5:])
        raise Unavailable(f"The server did not start. Its log ({log}) ends with:\n{tail}")
    import httpx2

    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/readyz", timeout=5).status_code == 200:
                return url
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise Unavailable(f"The server did not become ready. Its log is {log}.")


class _Walk:
    """What the demonstration shows, step by step."""

    def __init__(self, home: Path, source: Path, url: str, password: str) -> None:
        self._home = home
        self._source = source
        self._url = url
        self._password = password
        self._step = 0

    def run(self) -> None:
        from entrepot.cli import demo_doors
        from entrepot.client.client import Client

        output.line(f"Entrepot serves {self._home / 'server'} at {self._url}")
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._home))
        try:
            with Client(self._url, "anonymous") as client:
                client.transport.forget_token()
                token = client.login("admin", self._password, token_name="demo").token  # noqa: S106
                self._tour(client, work)
                demo_doors.walk(
                    client, self._source, client.projects.get(_PROJECT), token, self._password, self._say, self._tell
                )
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _tour(self, client: Client, work: Path) -> None:
        reference = f"{_PROJECT}/penguins"
        tree = work / "penguins"
        shutil.copytree(self._source, tree)
        self._project(client)

        self._say("Push a real dataset: 344 penguins from the Palmer Archipelago (CC0)", f"push penguins {reference}")
        pushed = client.data.push(tree, reference, message="As published", name="Palmer penguins")
        version = pushed.version
        assert version is not None
        if pushed.made == "dataset":
            client.versions.update(version, description="344 penguins", tags=["birds", "antarctica"])
        self._tell(f"{pushed.total_files} files, {output.size(pushed.total_bytes)}; sent {pushed.sent_files}")
        base = version.revision

        self._say("Edit it here: drop a column, rename a file, add a note; push again", f"push penguins {reference}")
        _edit(tree)
        pushed = client.data.push(tree, reference, message="Metric names, and a note")
        version = pushed.version
        assert version is not None
        plan = pushed.plan
        self._tell(
            f"{len(plan.added)} new, {len(plan.changed)} changed, {len(plan.renamed)} renamed; "
            f"sent {pushed.sent_files} files, {output.size(pushed.sent_bytes)}: a renamed file never travels again"
        )
        edited = version.revision

        self._say("What changed?", f"diff {reference}@{version.number}.{base} {reference}@{version.number}.{edited}")
        from entrepot.cli.history import diff_line

        for row in client.versions.diff(version, base, edited):
            self._tell(diff_line(row))

        self._say("Go back; nothing in between is lost", f"restore {reference}@{version.number}.{base}")
        restored = client.versions.restore(version, base, message="As published, again")
        self._tell(f"{restored.version.label} holds what revision {base} held")

        pinned = f"{reference}@{version.number}.{base}"
        self._say("Pull it, with a lock, and compare every byte with the original", f"pull {pinned} copy --lock")
        lock = work / "entrepot.lock"
        done = client.data.download(pinned, work / "copy", lock=lock)
        _require_equal(self._source, work / "copy")
        self._tell(f"{done.total_files} files, {output.size(done.total_bytes)}, all verified")
        (again,) = client.data.download_locked(lock)
        self._tell(f"pull --locked: the same bytes, {again.fetched_files} of them fetched again")

        self._say("Open a file where it is", f'read_csv("entrepot://{pinned}/penguins.csv")')
        for line in _opened(client, pinned):
            self._tell(line)

    def _project(self, client: Client) -> None:
        from entrepot.model.errors import NameTaken

        with contextlib.suppress(NameTaken):
            client.projects.create("Antarctica", slug=_PROJECT, description="What was measured at Palmer Station")

    def _say(self, what: str, command: str) -> None:
        self._step += 1
        prompt = ">>>" if "(" in command else "$ entrepot"
        output.line(f"\n{self._step}. {what}\n   {prompt} {command}")

    def _tell(self, text: str) -> None:
        output.line(f"   {text}")


def _edit(tree: Path) -> None:
    """What a person might do: change a table, rename a file, write a note."""
    table = tree / "penguins.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    kept = [line.rpartition(",")[0] for line in lines]
    table.write_text("\n".join(kept) + "\n", encoding="utf-8")
    (tree / "penguins-raw.csv").rename(tree / "as-published.csv")
    (tree / "notes").mkdir()
    (tree / "notes" / "2026.md").write_text("Dropped the column year: it is in the raw file.\n", encoding="utf-8")


def _require_equal(source: Path, copy: Path) -> None:
    for original in sorted(source.rglob("*")):
        if original.is_file():
            pulled = copy / original.relative_to(source)
            assert pulled.read_bytes() == original.read_bytes(), pulled


def _opened(client: Client, reference: str) -> list[str]:
    """Mean body mass by species: with pandas through fsspec if both are here, else with the csv module."""
    path = f"{reference}/penguins.csv"
    try:
        import pandas

        from entrepot.client.filesystem import EntrepotFileSystem
    except ModuleNotFoundError:
        return _with_csv(client, path)
    with EntrepotFileSystem(client=client).open(path) as file:
        frame = pandas.read_csv(file)
    means = frame.groupby("species")["body_mass_g"].mean()
    return [f"{len(frame)} rows with pandas {pandas.__version__}; mean body mass:"] + [
        f"  {species:<10} {mass:,.0f} g" for species, mass in means.items()
    ]


def _with_csv(client: Client, path: str) -> list[str]:
    import csv
    import io

    masses: dict[str, list[float]] = {}
    with client.data.open(path) as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))
    for row in rows:
        if row["body_mass_g"] != "NA":
            masses.setdefault(row["species"], []).append(float(row["body_mass_g"]))
    return [f"{len(rows)} rows with the csv module; mean body mass:"] + [
        f"  {species:<10} {sum(values) / len(values):,.0f} g" for species, values in sorted(masses.items())
    ]
