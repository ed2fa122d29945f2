"""The second half of `entrepot demo`: the same birds through the doors of four other services.

Each step sends the requests that the service's own Python client sends, in the same order. The clients themselves are
not needed for it, so the demonstration installs none of them; point one at the server and it finds all of this there.
What was sent in an earlier run of the demonstration is looked at and not sent again.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import httpx2

from entrepot.model.digests import crc32c_base64
from entrepot.model.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from entrepot.client.client import Client
    from entrepot.wire.messages.projects import Project
    from entrepot.wire.messages.versions import Version

__all__ = ["Say", "walk"]

#: What the checks of a table and of records may take here, in seconds.
_WAIT_S: Final = 120.0
#: Bytes of a chunk: small, so that there are several.
_CHUNK: Final = 20_000


class Say(Protocol):
    """Begins a step: what is done, and what one would write for it."""

    def __call__(self, what: str, command: str, /) -> None: ...


@dataclass(frozen=True)
class _Sender:
    """Somebody with a token and a password, and what they send."""

    client: Client
    http: httpx2.Client
    token: str
    password: str
    project: Project
    source: Path

    def ask(self, method: str, path: str, **what: Any) -> Any:
        """One request that must succeed; its JSON.

        Raises:
            Unavailable: It did not.
        """
        answer = self.http.request(method, path, **what)
        if not answer.is_success:
            raise Unavailable(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None

    def birds(self) -> list[dict[str, str]]:
        with (self.source / "penguins.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def walk(
    client: Client, source: Path, project: Project, token: str, password: str, say: Say, tell: Callable[[str], None]
) -> None:
    """Send the birds through every door, say where they came from, and show them all side by side.

    Args:
        source: The folder with the penguins.
        token: Of whoever is asking, with scope admin.
        password: Theirs.

    Raises:
        Unavailable: A door is closed, or what was sent was not taken.
    """
    with httpx2.Client(base_url=client.url, timeout=60) as http:
        sender = _Sender(client, http, token, password, project, source)
        origin = _named(sender, "Palmer penguins")
        for door, send in _DOORS.items():
            version = send(sender, say)
            # The same edge once more is no second one.
            client.relationships.create(version.id, origin.id, "derived_from")
            theirs = client.resolve(version.id).ids[door]
            tell(f"{project.slug}/{version.label}, {_amount(version)}; its id there is {theirs}")
    say("All of it in one place, and each knows what it was made from", f"ls {project.slug}")
    for one in sorted(client.versions.list(project=project.id), key=lambda one: one.created_at):
        tell(f"{one.name:<24} {one.kind.value:<8} {_amount(one)}")


def _benchling(sender: _Sender, say: Say) -> Version:
    """A table: those birds of which everything was measured."""
    say("A typed table, as Benchling's client sends it", "benchling.v2.beta.datasets.create_from_file(…)")
    name = "Complete measurements"
    found = _find(sender, name)
    if found is None:
        birds = [bird for bird in sender.birds() if "NA" not in bird.values()]
        key = httpx2.BasicAuth(sender.token, "")
        wish = {"name": name, "folderId": sender.project.id, "manifest": [{"fileName": "complete.csv"}]}
        made = sender.ask("POST", "/api/v2-beta/datasets", json=wish, auth=key)
        sender.ask("PUT", made["manifest"][0]["url"], content=_table(birds))
        sender.ask("PATCH", f"/api/v2-beta/datasets/{made['id']}", json={"uploadStatus": "IN_PROGRESS"}, auth=key)
        found = _finished(sender, name)
    return found


def _datature(sender: _Sender, say: Say) -> Version:
    """Records: a line for every bird."""
    from crc32c import crc32c

    say("Records, a JSON object a line, as Datature's client sends them", "project.batch.datasets.create(…)")
    name = "Birds one by one"
    found = _find(sender, name)
    if found is None:
        lines = [json.dumps({key: _value(cell) for key, cell in bird.items()}) for bird in sender.birds()]
        body = "".join(f"{line}\n" for line in lines).encode()
        file = {
            "kind": "UploadedNewlineDelimitedJsonFile",
            "sizeBytes": len(body),
            "crc32c": crc32c_base64(crc32c(body)),
        }
        path = f"/projects/{sender.project.id}/batch/datasets"
        wish = {"name": name, "spec": {"source": file}}
        made = sender.ask("POST", path, json=wish, headers={"Secret-Key": sender.token})
        target = made["status"]["source"]["uploadUrl"]
        sender.ask("PUT", target["url"], content=body, headers=target["headers"])
        found = _finished(sender, name)
    return found


def _flow(sender: _Sender, say: Say) -> Version:
    """A file in chunks: what the observers wrote down."""
    say("A file in chunks, as Flow's client sends it", "client.data.upload_data(…)")
    name = "penguins-raw.csv"
    found = _find(sender, name)
    if found is None:
        sender.client.users.update(default_project=sender.project.id)
        body = (sender.source / name).read_bytes()
        data = ""
        for start in range(0, len(body), _CHUNK):
            block = body[start : start + _CHUNK]
            form = {
                "filename": name,
                "expected_file_size": str(start),
                "is_last": "true" if start + _CHUNK >= len(body) else "false",
                "data": data,
            }
            data = sender.ask(
                "POST",
                "/flow/api/upload",
                data=form,
                files={"blob": (name, block, "application/octet-stream")},
                headers={"Authorization": f"Bearer {sender.token}"},
            )["data_id"]
        found = _named(sender, name)
    return found


def _ufdl(sender: _Sender, say: Say) -> Version:
    """Several files at once: a table for each species."""
    say("Several files at once, as UFDL's client sends them", "dataset.add_files(…)")
    name = "Penguins by species"
    found = _find(sender, name)
    if found is None:
        who = {"username": "admin", "password": sender.password}
        key = {"Authorization": "Bearer " + sender.ask("POST", "/v1/auth/obtain", data=who)["access"]}
        projects = sender.ask("POST", "/v1/projects/list", json={}, headers=key)
        licences = sender.ask("POST", "/v1/licences/list", json={}, headers=key)
        wish = {
            "name": name,
            "project": next(one["pk"] for one in projects if one["name"] == sender.project.name),
            "licence": next((one["pk"] for one in licences if one["name"].startswith("CC0")), licences[0]["pk"]),
            "tags": "birds",
        }
        made = sender.ask("POST", "/v1/datasets/create", json=wish, headers=key)
        birds = sender.birds()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for species in sorted({bird["species"] for bird in birds}):
                chosen = [bird for bird in birds if bird["species"] == species]
                archive.writestr(f"{species.lower()}.csv", _table(chosen))
        sender.ask("POST", f"/v1/datasets/{made['pk']}/files-multi", content=packed.getvalue(), headers=key)
        found = _named(sender, name)
    return found


#: By the door's name, as `entrepot show` has it.
_DOORS: Final[dict[str, Callable[[_Sender, Say], Version]]] = {
    "benchling": _benchling,
    "datature": _datature,
    "flow": _flow,
    "ufdl": _ufdl,
}


def _table(birds: Iterable[dict[str, str]]) -> bytes:
    rows = list(birds)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _value(cell: str) -> str | float | int | None:
    if cell == "NA":
        return None
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(cell)
    return cell


def _find(sender: _Sender, name: str) -> Version | None:
    """The newest version of this name that is ready; None if there is none."""
    listed = sender.client.versions.list(project=sender.project.id, name=name)
    ready = [one for one in listed if one.number is not None]
    return max(ready, key=lambda one: one.number or 0, default=None)


def _named(sender: _Sender, name: str) -> Version:
    found = _find(sender, name)
    if found is None:
        raise NotFound(f"{name!r} is not in {sender.project.slug}, although it was sent.")
    return found


def _finished(sender: _Sender, name: str) -> Version:
    """The version of this name whose file is being checked, once that is over."""
    (waiting,) = sender.client.versions.list(project=sender.project.id, name=name)
    return sender.client.versions.wait(waiting.id, timeout=_WAIT_S)


def _amount(version: Version) -> str:
    from entrepot.cli.output import size

    if version.items is not None:
        return f"{version.items:,} {'rows' if version.kind.value == 'table' else 'lines'}, {size(version.size)}"
    files = f"{version.entries:,} file{'s' if version.entries != 1 else ''}"
    return f"{files}, {size(version.size)}"
