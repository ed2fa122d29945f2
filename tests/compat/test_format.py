"""The page about the format is enough to recover data without us."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from entrepot.catalog.database import Catalog
from entrepot.depot import copies, entries
from entrepot.store.filesystem import FilesystemStore
from tests.support.catalogs import Clock
from tests.support.house import House


def script(root: Path) -> str:
    page = (root / "docs" / "format.md").read_text()
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_script_of_the_page_recovers_a_version_byte_for_byte(root: Path, tmp_path: Path) -> None:
    data, clock = tmp_path / "data", Clock()
    data.mkdir()
    catalog = Catalog.open(data / "catalog.sqlite", clock=clock)
    catalog.upgrade()
    store = FilesystemStore(data)
    house = House(catalog, store, store.staging, clock)
    made = house.version(house.admin, name="Penguins")
    house.put(house.admin, made, {"a.csv": b"1,2\n", "deep/er/b.bin": bytes(range(256)) * 9000, "empty": b""})
    second = copies.copy(house.depot, house.admin, made.n)
    house.put(house.admin, second, {"a.csv": b"other"})
    entries.commit(house.depot, house.admin, second.n, [entries.Remove("empty")])
    wanted = {number: house.tree(house.admin, n) for number, n in ((1, made.n), (2, second.n))}
    catalog.close()

    program = tmp_path / "recover.py"
    program.write_text(script(root))
    for number, tree in wanted.items():
        target = tmp_path / f"out{number}"
        told = subprocess.run(
            [sys.executable, "-I", program, data, "penguins", str(number), target],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        found = {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}
        assert found == tree
        assert sorted(told.stdout.splitlines()) == sorted(f"ok {path}" for path in tree)
