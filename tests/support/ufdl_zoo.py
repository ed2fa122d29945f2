"""A server of UFDL with everything that an import has to bring over, and what its door shows of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import httpx2

from entrepot.model import tag_text


@dataclass
class Door:
    """Requests of UFDL's kind at one server, as its administrator."""

    http: httpx2.Client

    def __call__(self, method: str, path: str, json: Any = None, content: bytes | None = None) -> Any:
        answer = self.http.request(method, f"/v1/{path}", json=json, content=content)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    def project(self, name: str, team: str) -> int:
        """A project of a team, which is made too if it is not there."""
        teams = {one["name"]: one["pk"] for one in self("POST", "teams/list", {})}
        pk = teams.get(team) or self("POST", "teams/create", {"name": team})["pk"]
        return int(self("POST", "projects/create", {"name": name, "team": pk})["pk"])

    def dataset(self, project: int, name: str, **more: Any) -> int:
        body = {"name": name, "project": project, "licence": 1, "tags": "", **more}
        return int(self("POST", "datasets/create", body)["pk"])

    def put(self, pk: int, name: str, content: bytes, text: str = "") -> None:
        self("POST", f"datasets/{pk}/files/{name}", content=content)
        if text:
            self("POST", f"datasets/{pk}/metadata/{name}", {"metadata": text})

    def copy(self, pk: int, **more: Any) -> int:
        return int(self("POST", f"datasets/{pk}/copy", more)["pk"])

    def shown(self, project: str, *, trashed: bool = True) -> list[Any]:
        """All that the door says of a project's datasets, without what differs from server to server."""
        licences = {one["pk"]: one["name"] for one in self("POST", "licences/list", {})}
        asked = {
            "expressions": [{"type": "exact", "field": "project.name", "value": project}],
            "include_inactive": trashed,
        }
        found = []
        for row in self("POST", "datasets/list", asked):
            texts = self("GET", f"datasets/{row['pk']}/metadata")
            found.append(
                {
                    **{name: row[name] for name in ("name", "version", "previous_version", "description")},
                    **{name: row[name] for name in ("is_public", "files")},
                    "licence": licences[row["licence"]],
                    "tags": tag_text.split(row["tags"]),
                    "trashed": row["deletion_time"] is not None,
                    "texts": texts,
                }
            )
        return sorted(found, key=lambda one: (one["name"], one["version"], one["trashed"], repr(one)))


def zoo(door: Door, name: str, chance: random.Random, *, large: int = 0) -> None:
    """A project with lines that branch, miss numbers, share contents, were renamed, deleted and made anew."""
    project = door.project(name, f"Team of {name}")
    terms = door("POST", "licences/create", {"name": f"Terms of {name}", "url": "https://example.org/terms"})["pk"]
    door("PATCH", f"licences/{terms}/subdescriptors", {"method": "add", "type": "conditions", "names": ["cite"]})
    shared = chance.randbytes(3000)
    first = door.dataset(
        project, "Penguins, 2009", licence=terms, tags="birds,south", description="Of the south.", is_public=True
    )
    door.put(first, "z/deep/er/ü mit Leerzeichen.csv", shared, "first text")
    door.put(first, "a.bin", chance.randbytes(20_000))
    door.put(first, "empty", b"")
    if large:
        door.put(first, "large.bin", chance.randbytes(large))
    second = door.copy(first)
    third = door.copy(first)
    door("DELETE", f"datasets/{third}/files/a.bin")
    door.put(third, "a.bin", chance.randbytes(500), "another a")
    door("PATCH", f"datasets/{third}", {"description": "Third.", "tags": "", "is_public": False})
    fourth = door.copy(second)
    door.put(fourth, "new", shared)
    # In the trash, with a number between others; and one whose number was given out again.
    door("DELETE", f"datasets/{second}")
    fifth = door.copy(fourth)
    door.put(fifth, "lost", chance.randbytes(100))
    door("DELETE", f"datasets/{fifth}")
    again = door.copy(third)
    door.put(again, "found", chance.randbytes(100))
    # A line that begins at 2, since its first version went to another name.
    seals = door.dataset(project, "Seals")
    door.put(seals, "s", shared, "seal")
    later = door.copy(seals)
    door("PATCH", f"datasets/{seals}", {"name": "Sea lions"})
    door("DELETE", f"datasets/{later}/clear")
    door.dataset(project, "Nothing in it")
