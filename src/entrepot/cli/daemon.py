"""`entrepot daemon …`: the local transfer daemon, and what it is at."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from entrepot.model.errors import EntrepotError, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrepot.daemon.link import Link

app = typer.Typer(
    name="daemon",
    help="Transfers that survive everything: run and watch the local daemon.",
    rich_markup_mode=None,
    add_completion=False,
)

Socket: TypeAlias = Annotated[
    Path | None, typer.Option("--socket", help="Its socket; ENTREPOT_SOCKET, else in the user's runtime folder.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]
Idle: TypeAlias = Annotated[
    float | None,
    typer.Option("--idle", help="Seconds without work after which it ends; 0 never; ENTREPOT_DAEMON_IDLE_S, else 900."),
]
Rate: TypeAlias = Annotated[
    str | None, typer.Option("--limit-rate", help="Bytes a second for all transfers, as in 20M; 0 for no limit.")
]
Slots: TypeAlias = Annotated[int | None, typer.Option("--slots", min=1, max=64, help="How many transfers run at once.")]
TransferId: TypeAlias = Annotated[str, typer.Argument(metavar="TRANSFER", help="Its id, tr_….")]


@app.command()
def run(socket: Socket = None, idle: Idle = None, limit_rate: Rate = None, slots: Slots = None) -> None:
    """Run the daemon in the foreground.

    As systemd does; it ends by itself when it is idle, unless --idle says otherwise. One daemon serves a socket:
    another one that is started on it ends at once, and says so.

    \b
    Examples:
      entrepot daemon run
      entrepot daemon run --idle 0 --limit-rate 20M
    """
    from entrepot.cli import daemon_run

    daemon_run.run(socket, idle, limit_rate, slots)


@app.command()
def start(
    socket: Socket = None, idle: Idle = None, limit_rate: Rate = None, slots: Slots = None, as_json: AsJson = False
) -> None:
    """Start the daemon unless it runs already.

    It goes on in the background, and unfinished transfers go on with it.

    \b
    Examples:
      entrepot daemon start
      entrepot daemon start --limit-rate 5M
    """
    from entrepot.cli import output
    from entrepot.daemon import places
    from entrepot.daemon.starting import connected

    path = places.socket_path(socket)
    options = [
        word
        for name, value in (("--idle", idle), ("--limit-rate", limit_rate), ("--slots", slots))
        if value is not None
        for word in (name, str(value))
    ]
    with _words():
        link = connected(path, options=options)
        if limit_rate is not None:
            link.call("limit", {"rate_bps": _rate(limit_rate) or None}, 10.0)
        hello = link.hello
        link.close()
    if as_json:
        output.emit(hello)
    else:
        output.line(f"The daemon runs as process {hello['pid']} on {hello['socket']}.")


@app.command()
def stop(
    socket: Socket = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for its end.")] = 20.0,
    as_json: AsJson = False,
) -> None:
    """Stop the daemon.

    Its transfers stay in the journal, and the next daemon goes on with them.

    \b
    Example:
      entrepot daemon stop
    """
    import time

    from entrepot.cli import output
    from entrepot.daemon import places, process
    from entrepot.daemon.link import Link

    path = places.socket_path(socket)
    try:
        with _words():
            link = Link(path, 10.0)
            told = link.call("shutdown", {}, 10.0)
            link.close()
    except ConnectionError:
        told = None
    deadline = time.monotonic() + timeout
    while (pid := process.holder(path)) is not None:
        if time.monotonic() > deadline:
            raise Unavailable(f"The daemon, process {pid}, has not ended within {timeout:g} s.")
        time.sleep(0.02)
    if as_json:
        output.emit({"stopped": told is not None, "unfinished": None if told is None else told["unfinished"]})
    elif told is None:
        output.line(f"No daemon runs on {path}.")
    else:
        left = told["unfinished"]
        output.line("The daemon has ended." + (f" {left:,} transfers are left for the next one." if left else ""))


@app.command()
def status(
    socket: Socket = None,
    ended: Annotated[int, typer.Option(help="How many ended transfers to show.", min=0, max=5000)] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the transfers, also when no daemon runs.

    \b
    Examples:
      entrepot daemon status
      entrepot daemon status --json
    """
    from entrepot.cli import output

    with _words():
        found = _status(socket, ended)
    if as_json:
        output.emit(found)
        return
    if found["running"]:
        rate = found["limit_bps"]
        bound = "" if rate is None else f", at most {output.size(int(rate))}/s"
        output.note(f"Process {found['pid']} on {found['socket']}: {found['active']} running{bound}.")
    else:
        output.note(f"No daemon runs on {found['socket']}. `entrepot daemon start` goes on with what is left.")
    output.table(
        ["transfer", "kind", "file", "state", "done", "size", "rate", "what"],
        (
            [one["transfer_id"], one["kind"], one["file_name"], _state(one), *_amounts(one)]
            for one in found["transfers"]
        ),
    )


def _state(one: dict[str, Any]) -> str:
    return "paused" if one["paused"] and one["state"] == "waiting" else str(one["state"])


def _amounts(one: dict[str, Any]) -> list[str]:
    from entrepot.cli import output

    total = one["bytes_total"]
    percent = f"{100 * one['bytes_done'] / total:.0f} %" if total else ""
    rate = f"{output.size(int(one['rate_bps']))}/s" if one["rate_bps"] else ""
    said = one.get("error", {}).get("message")
    what = said or (one.get("asset_id") if one["state"] == "done" else None) or one.get("title") or one["dest_dir"]
    return [percent, output.size(total), rate, what]


def _status(socket: Path | None, ended: int) -> dict[str, Any]:
    """From the daemon; from its journal when there is none."""
    from entrepot.daemon import places
    from entrepot.daemon.link import Link

    path = places.socket_path(socket)
    try:
        link = Link(path, 10.0)
    except ConnectionError:
        from entrepot.daemon.resting import status_of

        return {"running": False, **status_of(path, ended)}
    found: dict[str, Any] = link.call("status", {"ended": ended}, 30.0)
    link.close()
    return {"running": True, **found}


@app.command()
def pause(transfer: TransferId, socket: Socket = None, as_json: AsJson = False) -> None:
    """Hold a transfer; what was sent stays sent.

    \b
    Example:
      entrepot daemon pause tr_5f0c…
    """
    _asked(socket, "pause", as_json, transfer_id=transfer)


@app.command()
def resume(transfer: TransferId, socket: Socket = None, as_json: AsJson = False) -> None:
    """Let a paused or waiting transfer go on now.

    \b
    Example:
      entrepot daemon resume tr_5f0c…
    """
    _asked(socket, "resume", as_json, transfer_id=transfer)


@app.command()
def cancel(transfer: TransferId, socket: Socket = None, as_json: AsJson = False) -> None:
    """End a transfer for good.

    \b
    Example:
      entrepot daemon cancel tr_5f0c…
    """
    _asked(socket, "cancel", as_json, transfer_id=transfer)


@app.command()
def priority(
    transfer: TransferId,
    value: Annotated[int, typer.Argument(metavar="PRIORITY", help="-100 to 100; higher goes first, usual is 0.")],
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Let a transfer go before others, or after them.

    \b
    Example:
      entrepot daemon priority tr_5f0c… 10
    """
    _asked(socket, "prioritise", as_json, transfer_id=transfer, priority=value)


@app.command()
def limit(
    rate: Annotated[str, typer.Argument(metavar="RATE", help="Bytes a second for all, as in 20M; 0 for no limit.")],
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Bound what all transfers together move.

    From now on, for this daemon and the next; shared evenly.

    \b
    Examples:
      entrepot daemon limit 5M
      entrepot daemon limit 0
    """
    from entrepot.cli import output

    with _linked(socket) as link:
        found = link.call("limit", {"rate_bps": _rate(rate) or None}, 30.0)
    if as_json:
        output.emit(found)
    else:
        output.line("No limit." if found["limit_bps"] is None else f"At most {output.size(int(found['limit_bps']))}/s.")


@app.command()
def watch(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", help="What to watch; left out: list.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="project/dataset[/folder]; made if it is not there.")] = None,
    settle: Annotated[float | None, typer.Option(help="Seconds a file must hold still; 10 by default.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Watch it no longer.")] = False,
    socket: Socket = None,
    as_json: AsJson = False,
) -> None:
    """Push what settles in a folder; or list folders.

    Each time it is a revision, until told otherwise. Files that go here stay in the dataset, and what cannot be stored
    is named in the list. Starts the daemon, which then does not end by itself.

    \b
    Examples:
      entrepot daemon watch ./instrument --to lab/microscope
      entrepot daemon watch
      entrepot daemon watch ./instrument --remove
    """
    from entrepot.cli import output

    with _linked(socket) as link:
        if folder is None:
            found = link.call("watches", {}, 30.0)["watches"]
        elif remove:
            found = link.call("unwatch", {"watch": str(folder.absolute())}, 30.0)
        elif to is None:
            raise typer.BadParameter("name where it goes with --to project/dataset, or give --remove")
        else:
            asked = {"folder": str(folder.absolute()), "to": to, "settle_s": settle}
            found = link.call("watch", asked, 30.0)
    if as_json:
        output.emit(found)
    elif folder is None:
        columns = ["folder", "to", "pushed", "trouble"]
        output.table(columns, ([one["folder"], one["to"], one["pushed_at"], one["error"]] for one in found))
    else:
        word = "is not watched any more" if remove else f"goes to {found['to']} whenever it settles"
        output.line(f"{found['folder']} {word}.")


@app.command()
def logs(
    socket: Socket = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the end of the daemon's log.

    \b
    Example:
      entrepot daemon logs -n 200
    """
    from entrepot.cli import output
    from entrepot.daemon import places

    path = places.socket_path(socket)
    place, said = places.log_of(path), places.said_of(path)
    # One that could not begin has printed why, and that is news when it is younger than the log.
    late = said.exists() and (not place.exists() or said.stat().st_mtime >= place.stat().st_mtime)
    texts = [one.read_text(encoding="utf-8", errors="replace") for one in (place, said) if one.exists()]
    found = "\n".join(texts[: 2 if late else 1]).splitlines()[-lines:]
    if not texts:
        raise NotFound(f"There is no log {str(place)!r}: no daemon ever ran on this socket.")
    if as_json:
        output.emit({"file": place, "lines": found})
    else:
        for line in found:
            output.line(line)


@app.command()
def install(
    socket: Socket = None,
    limit_rate: Rate = None,
    show: Annotated[bool, typer.Option("--print", help="Print the unit and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let systemd see to the daemon.

    It starts it when this user logs in, and again whenever it dies.

    \b
    Examples:
      entrepot daemon install
      entrepot daemon install --print
    """
    from entrepot.cli import output
    from entrepot.daemon import places
    from entrepot.daemon.installing import install as write
    from entrepot.daemon.installing import unit

    _rate(limit_rate)
    text = unit(places.socket_path(socket), limit_rate)
    if show:
        output.emit({"unit": text}) if as_json else output.line(text.rstrip())
        return
    done = write(text)
    if as_json:
        output.emit(done)
        return
    output.line(f"Wrote {done['file']}.")
    if done["enabled"]:
        output.line("systemd runs it from now on: systemctl --user status entrepot-daemon")
    else:
        output.note(
            f"systemd was not told ({done['reason']}). Do it with: systemctl --user enable --now entrepot-daemon"
        )


def _asked(socket: Path | None, method: str, as_json: bool, **params: Any) -> None:
    from entrepot.cli import output

    with _linked(socket) as link:
        found = link.call(method, params, 30.0)
    if as_json:
        output.emit(found)
    else:
        output.line(f"{found['transfer_id']} ({found['file_name']}) is {_state(found)}.")


@contextmanager
def _linked(socket: Path | None) -> Iterator[Link]:
    """A connection to the daemon, which is started if there is none."""
    from entrepot.daemon import places
    from entrepot.daemon.starting import connected

    with _words():
        link = connected(places.socket_path(socket))
        try:
            yield link
        finally:
            link.close()


@contextmanager
def _words() -> Iterator[None]:
    """What the daemon refuses, as an error whose exit code means something."""
    from entrepot.daemon.errors import DaemonError, revived

    try:
        yield
    except DaemonError as error:
        found: EntrepotError = revived(error)
        raise found from error


def _rate(text: str | None) -> float | None:
    from entrepot.cli.daemon_run import rate_of

    return rate_of(text)
