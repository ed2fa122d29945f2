"""Recorded pairs of the UFDL door: files of requests with the answers they got, to be read, replayed and recorded anew.

    ### What it shows, as a sentence
    as writer · names dataset.penguins
    POST /v1/datasets/create
    content-type: application/json

    {"name": "penguins", "project": {{project.birds}}, …}

    201
    content-type: application/json

    {
      "pk": {{dataset.penguins}},
      …

`as` is one of the people of a `Lab`; `names` calls the `pk` of the answer. Numbers of things stand as `{{kind.name}}`,
times as `{{time}}`, tokens as `{{token.…}}`: they differ from run to run and everything else may not. JSON is laid out
for reading, in the order of the wire. A zip is written as `<zip>` with a line for each member, a tar as `<tar.gz>`.

The requests of a file are asked one after another, so a file is a small story; files do not know of each other.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.ufdl import Lab

#: Fields of an answer that a client can see or should: the others are the server's own affair.
SHOWN = ("content-type", "content-length", "content-disposition", "cache-control", "allow", "www-authenticate",
         "accept-ranges", "retry-after", "access-control-allow-methods", "access-control-allow-headers")  # fmt: skip
_TIMES = frozenset({"creation_time", "deletion_time", "date_joined", "last_login"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
#: A field that holds the number of something, and of what; `pk` is of the kind that the path begins with.
_KINDS = {"project": "project", "licence": "licence", "team": "team", "creator": "user", "user": "user"}
_NOUNS = {
    "datasets": "dataset",
    "projects": "project",
    "teams": "team",
    "users": "user",
    "licences": "licence",
    "licenses": "licence",
    "nodes": "node",
}
_TOKENS = frozenset({"access", "refresh"})
_NUMBERED = re.compile(r"\b(version|project|team|user|licence|node) (\d+)\b")
_HOLE = re.compile(r"\{\{([\w.+ -]+)\}\}")


@dataclass
class Pair:
    """One request, and the text of the answer that it got."""

    title: str
    who: str
    names: str | None
    method: str
    target: str
    fields: dict[str, str]
    body: str
    answer: str

    @property
    def status(self) -> int:
        return int(self.answer.split("\n", 1)[0] or 0)

    def text(self, answer: str) -> str:
        """As it stands in a file."""
        named = f" · names {self.names}" if self.names else ""
        lines = [f"### {self.title}", f"as {self.who}{named}", f"{self.method} {self.target}"]
        lines += [f"{name}: {value}" for name, value in self.fields.items()]
        body = ["", self.body] if self.body else []
        return "\n".join([*lines, *body, "", answer])


def read(path: Path) -> list[Pair]:
    found = []
    for section in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, who, request, *rest = section.rstrip("\n").split("\n")
        said = re.fullmatch(r"as ([\w+]+)(?: · names (\S+))?", who)
        assert said, f"{path.name}: {title}: {who!r} does not say who asks"
        method, target = request.split(" ", 1)
        fields = {}
        while rest and rest[0]:
            name, value = rest.pop(0).split(": ", 1)
            fields[name] = value
        status = next((at for at, line in enumerate(rest) if re.fullmatch(r"\d{3}", line)), len(rest))
        body, answer = "\n".join(rest[:status]).strip("\n"), "\n".join(rest[status:])
        found.append(Pair(title, said[1], said[2], method, target, fields, body, answer))
    return found


@dataclass
class Story:
    """The replay of one file in a lab."""

    lab: Lab
    #: Names by (kind, number), and the values of the holes in requests.
    known: dict[tuple[str, int], str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    #: A spelling of the file's paths, and what it stands for in this replay.
    spelling: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        self._name("team", self.lab.team, "lab")
        self._name("node", self.lab.node, "worker")
        self._name("licence", self.lab.licence, "first")
        for one in self.lab.people["staff"].ok("POST", "/users/list"):
            self._name("user", one["pk"], one["username"])

    def _name(self, kind: str, number: int, name: str) -> None:
        self.known[kind, number] = f"{kind}.{name}"
        self.values[f"{kind}.{name}"] = str(number)

    def ask(self, pair: Pair) -> str:
        """The text of the answer that it gets now."""
        target, body = self._filled(pair.target), _content(self._filled(pair.body))
        if self.spelling is not None:
            target = target.replace(*self.spelling)
        fields = {name: self._filled(value) for name, value in pair.fields.items()}
        person = self.lab.people[pair.who]
        answer = person(pair.method, target.removeprefix("/v1"), content=body or None, headers=fields)
        noun = _NOUNS.get(target.split("/")[2] if target.count("/") > 1 else "", "")
        return self._text(answer, noun, pair.names)

    def _filled(self, text: str) -> str:
        return _HOLE.sub(lambda hole: self.values[hole[1]], text)

    def _text(self, answer: httpx2.Response, noun: str, names: str | None) -> str:
        shown = [str(answer.status_code)]
        is_json = answer.headers.get("content-type") == "application/json" or answer.content[:10] == b'{"detail":'
        for name in SHOWN:
            if name in answer.headers and not (name == "content-length" and (is_json or not answer.content)):
                shown.append(f"{name}: {answer.headers[name]}")
        if not answer.content:
            return "\n".join([*shown, ""])
        if is_json:
            value = answer.json()
            if names is not None:
                self._name(*_called(names, value["pk"]))
            return "\n".join([*shown, "", _laid_out(self._holes(value, noun)), ""])
        shown = [line for line in shown if not (line.startswith("content-length") and _is_archive(answer.content))]
        return "\n".join([*shown, "", _bytes_text(answer.content), ""])

    def _holes(self, value: Any, noun: str, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: self._holes(member, noun, name) for name, member in value.items()}
        if isinstance(value, list):
            return [self._holes(one, "user" if key == "members" else noun, "") for one in value]
        kind = noun if key == "pk" else _KINDS.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and kind is not None:
            return _Hole(self.known.get((kind, value), f"{kind}.unnamed"))
        if key in _TIMES and isinstance(value, str):
            assert _TIME.fullmatch(value), value
            return _Hole("time")
        if isinstance(value, str) and key in ("reason", "detail"):
            return _NUMBERED.sub(lambda said: self._said(said[1], int(said[2])), value)
        if key in _TOKENS and isinstance(value, str):
            self.values[f"token.{key}"] = value
            return _Hole(f"token.{key}")
        return value

    def _said(self, kind: str, number: int) -> str:
        """A number in a sentence."""
        name = self.known.get(("dataset" if kind == "version" else kind, number))
        return f"{kind} {number}" if name is None else f"{kind} {{{{{name}}}}}"


class _Hole(str):
    """A name that stands where a value was."""


def _called(names: str, number: int) -> tuple[str, int, str]:
    kind, name = names.split(".", 1)
    return kind, number, name


def _laid_out(value: Any, indent: int = 0) -> str:
    """JSON for reading: short things on one line, in the order they came."""
    if isinstance(value, _Hole):
        shown = "{{" + value + "}}"
        return f'"{shown}"' if value == "time" or value.startswith("token.") else shown
    if isinstance(value, dict | list) and value:
        is_object = isinstance(value, dict)
        if isinstance(value, dict):
            named = ((json.dumps(name, ensure_ascii=False), one) for name, one in value.items())
            parts = [f"{name}: {_laid_out(one, indent + 2)}" for name, one in named]
        else:
            parts = [_laid_out(one, indent + 2) for one in value]
        opening, closing = "{}" if is_object else "[]"
        flat = f"{opening}{', '.join(parts)}{closing}"
        if len(flat) + indent <= 100 and "\n" not in flat:
            return flat
        inner = ",\n".join(" " * (indent + 2) + part for part in parts)
        return f"{opening}\n{inner}\n{' ' * indent}{closing}"
    return json.dumps(value, ensure_ascii=False)


def _content(text: str) -> bytes:
    """The bytes of a request's body as it stands in a file."""
    if not text.startswith("<zip>"):
        return b"" if text == "<nothing>" else text.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as members:
        for name, content in _members(text):
            members.writestr(name, content)
    return out.getvalue()


def _members(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n")[1:]:
        name, _, content = line.strip().partition(": ")
        yield name.removesuffix(":"), content


def _is_archive(content: bytes) -> bool:
    return content[:2] in (b"PK", b"\x1f\x8b")


def _bytes_text(content: bytes) -> str:
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            members = [(one.filename, opened.read(one)) for one in opened.infolist()]
        return "\n".join(["<zip>", *(f"  {name}: {body.decode()}".rstrip() for name, body in members)])
    if content[:2] == b"\x1f\x8b":
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as tar:
            lines = []
            for one in tar.getmembers():
                body = tar.extractfile(one)
                assert body is not None
                lines.append(f"  {one.name}: {body.read().decode()}".rstrip())
        return "\n".join(["<tar.gz>", *lines])
    return content.decode()
