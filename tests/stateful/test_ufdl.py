"""Any order of creating, copying, editing, merging, deleting and reinstating at the UFDL door, against its rules.

The model knows versions by number and name only: copies take the next number above the active ones, deleted ones free
theirs, reinstating may clash, merging renames, and nothing that is done to one version shows in another.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.support.ufdl import Lab, open_lab

NAMES = st.sampled_from(["gull", "owl"])
PATHS = st.sampled_from(["a.txt", "b.tar.gz", "d/a.txt", "d", "c"])
CONTENTS = st.sampled_from([b"one", b"two", b""])
TEXTS = st.sampled_from(["", "x", '{"y": 1}'])


@dataclass
class Known:
    """A version as it should be."""

    pk: int
    name: str
    number: int
    previous: int = -1
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    deleted: bool = False


class Door(RuleBasedStateMachine):
    lab: ClassVar[Lab]
    stack: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        cls.stack = ExitStack()
        folder = Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.lab = open_lab(folder, cls.stack)

    versions = Bundle("versions")

    @initialize(target=versions, contents=st.lists(CONTENTS, min_size=4, max_size=4))
    def begin(self, contents: list[bytes]) -> Any:
        body = {"name": f"project of {self.lab.name()}", "team": self.lab.team}
        self.project = self.lab.writer.ok("POST", "/projects/create", body, status=201)["pk"]
        self.known: dict[int, Known] = {}
        # Something to copy and merge from the start: drawn steps alone seldom get that far.
        made = [self.create("gull"), self.create("owl")]
        for version, path, content in zip(made * 2, ["d/a.txt"] * 2 + ["b.tar.gz"] * 2, contents, strict=True):
            self.add(version, path, content)
        return multiple(*made)

    def ask(
        self, method: str, path: str, body: Any = None, *, fine: bool = True, who: str = "staff", **what: Any
    ) -> Any:
        got = self.lab.people[who](method, path, body, **what)
        assert got.status_code in ((200, 201, 204) if fine else (400,)), f"{method} {path} {body}: {got.text}"
        return got.json() if got.content else None

    def active(self, name: str, number: int) -> bool:
        return any((one.name, one.number, one.deleted) == (name, number, False) for one in self.known.values())

    def next_number(self, name: str) -> int:
        return max((one.number for one in self.known.values() if one.name == name and not one.deleted), default=0) + 1

    def note(self, record: Any, **fields: Any) -> Known:
        made = Known(record["pk"], record["name"], record["version"], record["previous_version"], **fields)
        self.known[made.pk] = made
        return made

    @rule(target=versions, name=NAMES)
    def create_another(self, name: str) -> Any:
        return self.create(name)

    def create(self, name: str) -> Any:
        fine = not self.active(name, 1)
        body = {"name": name, "project": self.project, "licence": self.lab.licence, "tags": "t"}
        made = self.ask("POST", "/datasets/create", body, fine=fine, who="writer")
        if not fine:
            return multiple()
        assert (made["version"], made["previous_version"], made["files"]) == (1, -1, {})
        return self.note(made)

    @rule(target=versions, source=versions, only=st.none() | st.lists(PATHS, max_size=3))
    def copy(self, source: Known, only: list[str] | None) -> Any:
        number = self.next_number(source.name)
        made = self.ask(
            "POST", f"/datasets/{source.pk}/copy", {} if only is None else {"only_files": only}, who="reader"
        )
        assert (made["name"], made["version"], made["previous_version"]) == (source.name, number, source.number)
        return self.note(made, files=self.some(source, only))

    @rule(target=versions, source=versions, name=NAMES)
    def copy_as(self, source: Known, name: str) -> Any:
        fine = not self.active(name, 1)
        made = self.ask("POST", f"/datasets/{source.pk}/copy", {"new_name": name}, fine=fine, who="writer")
        if not fine:
            return multiple()
        assert (made["name"], made["version"], made["previous_version"]) == (name, 1, -1)
        return self.note(made, files=dict(source.files))

    @staticmethod
    def some(source: Known, only: list[str] | None) -> dict[str, tuple[bytes, str]]:
        return {path: kept for path, kept in source.files.items() if only is None or path in only}

    @rule(version=versions, path=PATHS, content=CONTENTS)
    def add_another(self, version: Known, path: str, content: bytes) -> None:
        self.add(version, path, content)

    def add(self, version: Known, path: str, content: bytes) -> None:
        clash = any(
            path == other or path.startswith(other + "/") or other.startswith(path + "/") for other in version.files
        )
        fine = not (version.deleted or clash)
        self.ask("POST", f"/datasets/{version.pk}/files/{path}", fine=fine, who="writer", content=content)
        if fine:
            version.files[path] = (content, "")

    @rule(version=versions, path=PATHS)
    def remove(self, version: Known, path: str) -> None:
        fine = not version.deleted and path in version.files
        self.ask("DELETE", f"/datasets/{version.pk}/files/{path}", fine=fine, who="writer")
        if fine:
            del version.files[path]

    @rule(version=versions, path=PATHS, text=TEXTS)
    def describe(self, version: Known, path: str, text: str) -> None:
        fine = not version.deleted and path in version.files
        self.ask("POST", f"/datasets/{version.pk}/metadata/{path}", {"metadata": text}, fine=fine, who="writer")
        if fine:
            version.files[path] = (version.files[path][0], text)

    @rule(version=versions)
    def clear(self, version: Known) -> None:
        self.ask("DELETE", f"/datasets/{version.pk}/clear", fine=not version.deleted, who="writer")
        if not version.deleted:
            version.files = {path: (content, "") for path, (content, _) in version.files.items()}

    @rule(version=versions, name=NAMES)
    def rename(self, version: Known, name: str) -> None:
        taken = name != version.name and self.active(name, version.number)
        fine = not (version.deleted or taken)
        self.ask("PATCH", f"/datasets/{version.pk}", {"name": name}, fine=fine, who="writer")
        if fine:
            version.name = name

    @rule(target_version=versions, source=versions, delete=st.booleans())
    def merge(self, target_version: Known, source: Known, delete: bool) -> None:
        fine = not target_version.deleted and not self.unmergeable(target_version, source)
        path = f"/datasets/{target_version.pk}/merge/{source.pk}"
        self.ask("POST", path, {"delete": delete}, fine=fine, who="writer")
        if not fine or target_version.pk == source.pk:
            return
        for name, (content, text) in source.files.items():
            there = target_version.files.get(name)
            if there is None:
                target_version.files[name] = (content, text)
            elif there[0] != content:
                target_version.files[self.numbered(target_version, source, name)] = (content, text)
        source.deleted = source.deleted or delete

    @staticmethod
    def unmergeable(target: Known, source: Known) -> bool:
        """Whether a file of one would be a folder of the other."""
        return any(
            here.startswith(there + "/") or there.startswith(here + "/")
            for here in source.files
            for there in target.files
        )

    @staticmethod
    def numbered(target: Known, source: Known, path: str) -> str:
        folder, slash, name = path.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        if not stem:
            stem, dot, suffix = name, "", ""
        number = 1
        while (other := f"{folder}{slash}{stem}-{number:04d}{dot}{suffix}") in target.files or other in source.files:
            number += 1
        return other

    @rule(version=versions)
    def destroy(self, version: Known) -> None:
        self.ask("DELETE", f"/datasets/{version.pk}", who="writer")
        version.deleted = True

    @rule(version=versions)
    def reinstate(self, version: Known) -> None:
        fine = not version.deleted or not self.active(version.name, version.number)
        self.ask("DELETE", f"/datasets/{version.pk}/reinstate", fine=fine)
        if fine:
            version.deleted = False

    @rule(version=consumes(versions))
    def remove_for_good(self, version: Known) -> None:
        assert self.ask("DELETE", f"/datasets/{version.pk}/hard")["pk"] == version.pk
        del self.known[version.pk]

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        if not hasattr(self, "known"):
            return
        here = {"type": "exact", "field": "project", "value": self.project}
        body = {"expressions": [here], "include_inactive": True}
        listed = {one["pk"]: one for one in self.ask("POST", "/datasets/list", body)}
        assert set(listed) == set(self.known)
        for pk, one in self.known.items():
            record = listed[pk]
            assert (record["name"], record["version"], record["previous_version"]) == (
                one.name,
                one.number,
                one.previous,
            )
            assert (record["deletion_time"] is not None) == one.deleted
            handles = {path: hashlib.sha256(content).hexdigest() for path, (content, _) in one.files.items()}
            assert record["files"] == handles
        if self.known:
            last = list(self.known)[-1]
            texts = self.ask("GET", f"/datasets/{last}/metadata")
            assert texts == {path: text for path, (_, text) in self.known[last].files.items()}


class TestDoor(Door.TestCase):  # type: ignore[name-defined,misc]
    # Each step is several requests: a seventh of what the profile gives other machines.
    settings = settings(max_examples=max(4, settings.default.max_examples // 7))

    @classmethod
    def setup_class(cls) -> None:
        Door.setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        Door.stack.close()
