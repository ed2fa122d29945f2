"""Documents that lie are worse than none: links, commands, settings, errors and names are compared with the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

import pytest

import entrepot
from entrepot.model import errors
from entrepot.wire import problem
from tests.support.sources import PACKAGE, ROOT, modules, on_floors, tracked_files

DOCUMENTS = [path for path in tracked_files() if path.suffix == ".md"]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^(```.*?^```|(?:^ {4}.*\n)+)", re.MULTILINE | re.DOTALL)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """The anchors that headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", CODE_BLOCK.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_found() -> None:
    """Each document below docs/ is linked from another one."""
    linked = set()
    for document in DOCUMENTS:
        for link in LINK.findall(document.read_text(encoding="utf-8")):
            name = unquote(link).partition("#")[0]
            if name and not re.match(r"[a-z]+:", link) and document != (document.parent / name).resolve():
                linked.add((document.parent / name).resolve())
    lonely = [relative(p) for p in DOCUMENTS if p.is_relative_to(ROOT / "docs") and p not in linked]
    assert [name for name in lonely if name not in ("docs/index.md",)] == []


def test_make_commands_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    missing = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for code in [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^ {4}(.+)$", text, re.MULTILINE)]:
            for target in re.findall(r"(?:^|&& |=\S* )make ([a-z]+)", code):
                if target not in targets:
                    missing.append(f"{relative(document)}: make {target}")
    assert missing == []


def test_the_two_commands_are_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^ {4}make demo\b", readme, re.MULTILINE)
    assert re.search(r"^ {4}make test\b", readme, re.MULTILINE)


def test_make_help_names_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert [target for target in phony[1].split() if not re.search(rf"^  make {target} ", shown, re.MULTILINE)] == []


def environment_variables() -> set[str]:
    """Names of our environment variables that stand as strings in the product."""
    found = set()
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^ENTREPOT_[A-Z][A-Z_]*[A-Z]$", node.value))
    return found


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    assert sorted(name for name in environment_variables() if f"`{name}`" not in page) == [], (
        "add them to docs/reference/configuration.md"
    )


def error_classes(kind: type[errors.EntrepotError] = errors.EntrepotError) -> list[type[errors.EntrepotError]]:
    below = [error for error in kind.__subclasses__() if error.__module__ == errors.__name__]
    return [*below, *(leaf for error in below for leaf in error_classes(error))]


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_is_documented_as_it_is(error: type[errors.EntrepotError]) -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{error.code}` \| (\S+) \| (\S*) \| (yes)? *\|", page, re.MULTILINE)
    assert row, f"docs/reference/errors.md has no row for {error.code}"
    assert row[1].strip("*") == error.__name__
    assert row[2] == str(problem.status_of(error("x")))
    assert bool(row[3]) == error.retryable
    assert row[1].startswith("**") == (error.__base__ is errors.EntrepotError), "kinds are bold, leaves are not"


def test_the_drawing_of_the_error_tree_is_complete() -> None:
    drawing = errors.__doc__ or ""
    assert [error.__name__ for error in error_classes() if not re.search(rf"─ {error.__name__}\b", drawing)] == []


def test_public_names_are_listed_and_real() -> None:
    page = (ROOT / "docs/reference/sdk.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([A-Za-z_]+)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(entrepot.__all__), "docs/reference/sdk.md and entrepot.__all__ must agree"
    assert [name for name in entrepot.__all__ if not hasattr(entrepot, name)] == []
    assert sorted(set(entrepot.__all__)) == sorted(entrepot.__all__)


def test_importing_entrepot_is_cheap() -> None:
    """`import entrepot` in a notebook or at the start of a command pulls neither server nor HTTP client."""
    heavy = "{'sqlalchemy', 'fastapi', 'starlette', 'granian', 'httpx2', 'rich', 'fsspec', 'pandas'}"
    code = f"import sys, entrepot; sys.exit(', '.join(sorted({heavy} & set(sys.modules))) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"import entrepot imported {done.stderr.strip()}"


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    for group in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        wanted += [line for lines in group.values() for line in lines if isinstance(line, str)]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in wanted}
    page = (ROOT / "docs/explanation/dependencies.md").read_text(encoding="utf-8")
    reasoned = set(re.findall(r"^\| ([a-z0-9][a-z0-9._-]*) \| \S", page, re.MULTILINE))
    assert sorted(names - reasoned) == [], "add a reason to docs/explanation/dependencies.md"
    assert sorted(reasoned - names) == [], "docs/explanation/dependencies.md names what pyproject.toml does not"


def test_every_folder_of_the_house_is_on_the_map() -> None:
    """A new top-level folder finds its floor in ARCHITECTURE.md as well as in import-linter's contract."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    assert [name for name in folders if f"`{name}/`" not in page] == []


def test_every_door_has_its_parts() -> None:
    """A dialect brings a README and says what becomes of every error; native ones are no exception."""
    doors = {module.path.relative_to(PACKAGE / "dialects").parts[0] for module in on_floors("dialects")}
    missing = []
    for door in sorted(doors - {"__init__.py"}):
        folder = PACKAGE / "dialects" / door
        if len(list(folder.rglob("*.py"))) > 1:
            missing += [f"{door}/{name}" for name in ("README.md", "errors.py") if not (folder / name).exists()]
    assert missing == []


def test_decisions_are_numbered_and_complete() -> None:
    numbers = []
    for path in sorted((ROOT / "docs/adr").glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        numbers.append(int(path.name[:4]))
        assert text.startswith(f"# {path.name[:4]} "), path
        for heading in ("## Context", "## Options", "## Decision", "## Consequences"):
            assert heading in text, f"{path} has no {heading}"
    assert numbers == list(range(1, len(numbers) + 1))


def test_fragments_make_a_changelog() -> None:
    subprocess.run([sys.executable, ROOT / "scripts/changelog"], capture_output=True, check=True)


def test_a_release_moves_the_fragments_into_the_changelog(tmp_path: Path) -> None:
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes/README.md").write_text("rules")
    (tmp_path / "changes/7.fixed.md").write_text("It crashed.\nIt does not.\n")
    (tmp_path / "changes/3-more.added.md").write_text("A thing.\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n<!-- releases -->\n\n## 0.0.1 (2026-01-01)\n")
    command = [sys.executable, str(ROOT / "scripts/changelog"), "--root", str(tmp_path), "--release", "0.1.0"]
    subprocess.run(command, check=True)
    text = (tmp_path / "CHANGELOG.md").read_text()
    assert re.search(
        r"<!-- releases -->\n\n## 0\.1\.0 \(\d{4}-\d\d-\d\d\)\n\n### Added\n\n- A thing\. \(#3\)\n\n"
        r"### Fixed\n\n- It crashed\.\n  It does not\. \(#7\)\n\n## 0\.0\.1",
        text,
    ), text
    assert [path.name for path in (tmp_path / "changes").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("name", "text"), [("seven.fixed.md", "x"), ("7.broken.md", "x"), ("7.fixed.md", "# x"), ("8.added.md", "a\n\nb")]
)
def test_a_bad_fragment_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / name).write_text(text)
    command = [sys.executable, str(ROOT / "scripts/changelog"), "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert name in done.stderr
