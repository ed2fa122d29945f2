"""The product's own source, parsed once, for the rules that are tests."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "entrepot"


@dataclass(frozen=True, slots=True)
class Module:
    """One module: its dotted name, its path and how many lines it has."""

    name: str
    path: Path
    lines: int

    @property
    def tree(self) -> ast.Module:
        """Its syntax tree: parsed when a test asks, as every test process collects tests of which it runs few."""
        return _parsed(self.path)

    @property
    def used(self) -> tuple[tuple[int, str], ...]:
        """(line, full dotted name) of every use of a name; several rules ask."""
        return _used(self.path)

    @property
    def floor(self) -> str:
        """The top-level folder (or module) of `entrepot` it belongs to; empty for `entrepot` itself."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _used(path: Path) -> tuple[tuple[int, str], ...]:
    return tuple(used_names(_parsed(path)))


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module below src/entrepot, in the order of their paths."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, text.count("\n")))
    return tuple(found)


def on_floors(*floors: str) -> list[Module]:
    """The modules of these top-level folders."""
    return [module for module in modules() if module.floor in floors]


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported anywhere in a module; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.expr) -> str:
    """`os.path.join` for that expression; for anything but names and attributes a `?` in its place."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def used_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of every use of a name, with import aliases resolved (`import os as o; o.fork`)."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = dotted(node)
            first, _, rest = name.partition(".")
            if first in aliases:
                name = aliases[first] + (f".{rest}" if rest else "")
            yield node.lineno, name


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """Every file git knows or would add; what .gitignore names is not there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(ROOT / name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).exists())


def text_of(path: Path) -> str | None:
    """A file's text, None if it is binary."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")
