"""What is in the repository works on every machine: it names no host, no place and nobody's leftovers."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

from tests.support.sources import ROOT, text_of, tracked_files

# Put together here, so that this file does not contain what it looks for.
REGISTRIES = (
    ("files", "pythonhosted"),
    ("registry", "npmjs"),
    ("pypi", "org/simple"),
    ("deb", "debian", "org"),
    ("crates", "io"),
    ("proxy", "golang", "org"),
)
PLACES = (("", "work", ""), ("", "root", ""), ("", "tmp", "coord"))


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in tracked_files():
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    return found


def test_no_package_registry_is_named() -> None:
    """Which mirror serves a package is a matter of the machine that installs it."""
    pattern = re.compile("|".join(r"\.".join(parts) for parts in REGISTRIES))
    assert lines_with(pattern) == []


def test_no_path_of_a_developers_machine_is_named() -> None:
    pattern = re.compile("|".join(r"(?<![\w.])" + "/".join(parts) for parts in PLACES))
    assert lines_with(pattern) == []


def test_locks_are_pinned_hashed_and_name_no_host() -> None:
    locks = sorted((ROOT / "requirements").glob("*.lock"))
    own = {lock.stem for lock in locks if not lock.stem.startswith("client-")}
    assert own == {"client", "server", "demo", "dev", "installer", "node"}
    wanted = {path.stem for path in (ROOT / "requirements").glob("client-*.in")}
    assert {lock.stem for lock in locks} - own == wanted, "one for each client of another service"
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock
        assert not re.search(r"^\s*--(?!hash=)", text, re.MULTILINE), f"{lock}: an option is in it"
        for block in re.findall(r"^\S.*(?:\n[ ]+.*)*", text, re.MULTILINE):
            if not block.startswith("#"):
                assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", block), f"{lock}: {block[:60]}"
                assert "--hash=sha256:" in block, f"{lock}: {block[:60]}"


def pins(lock: str) -> set[tuple[str, str]]:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;]+)", text, re.MULTILINE))


def test_a_package_has_one_version_in_all_locks() -> None:
    assert pins("client.lock") <= pins("server.lock") <= pins("demo.lock") <= pins("dev.lock")
    assert pins("installer.lock") <= pins("dev.lock")


def test_locks_hold_what_the_project_asks_for() -> None:
    """A dependency added without `make lock` would be missing on the next machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in lines if isinstance(line, str)}

    base = names(project["project"]["dependencies"])
    server = base | names(extras["server"]) | names(extras["fsspec"])
    everything = server.union(*(names(lines) for lines in [*extras.values(), *groups.values()]))
    for lock, wanted in {"client.lock": base, "server.lock": server, "dev.lock": everything}.items():
        assert sorted(wanted - {name.lower() for name, _ in pins(lock)}) == [], f"{lock}: run `make lock`"
    # rich brings the one that both have; the server names it because it imports it.
    assert not (names(extras["server"]) - base - {"markdown-it-py"}) & {name for name, _ in pins("client.lock")}


def test_no_lock_with_hosts_is_committed() -> None:
    names = {path.name for path in tracked_files()}
    assert not names & {"uv.lock", "pylock.toml", "poetry.lock", "Pipfile.lock", "yarn.lock"}
    for path in tracked_files():
        if path.name == "package-lock.json":
            packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
            assert [name for name, package in packages.items() if "resolved" in package] == [], path


def test_nothing_foreign_generated_or_linked_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line for line in listed.stdout.splitlines() if line.startswith(("120000", "160000"))] == []
    suspicious = re.compile(r"(\.min\.(js|css)|\.map|\.pyc|\.so|\.whl|\.orig|\.rej|~|\.DS_Store)$")
    assert [path for path in tracked_files() if suspicious.search(path.name)] == []


def test_no_large_file_is_committed() -> None:
    """Test data is made by the tests; what must be shipped is small."""
    assert [path for path in tracked_files() if path.stat().st_size > 512 * 1024] == []


def test_scripts_can_be_run() -> None:
    scripts = [path for path in tracked_files() if text_starts_with_shebang(path)]
    assert {ROOT / ".ci/run", ROOT / "scripts/setup", ROOT / "scripts/test"} <= set(scripts)
    assert [path for path in scripts if not path.stat().st_mode & 0o111] == []


def text_starts_with_shebang(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"
