"""Run inside a throw-away environment by scripts/check-wheel: is the base install the client wing and nothing more?"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import zipfile

NORMAL = re.compile(r"[-_.]+")


def names(requirements: list[str], extra: str | None) -> set[str]:
    """Normalised names of the requirements of one extra, or of the base."""
    chosen = set()
    for line in requirements:
        match = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        if (match[1] if match else None) == extra:
            chosen.add(NORMAL.sub("-", re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]).lower())
    return chosen


def main(wheel: str) -> int:
    complaints = []
    requirements = importlib.metadata.requires("entrepot") or []
    installed = {NORMAL.sub("-", d.metadata["Name"]).lower() for d in importlib.metadata.distributions()}
    base, server = names(requirements, None), names(requirements, "server")
    if not server:
        complaints.append("the wheel declares no extra named server")
    complaints += [f"{name} of the base is not installed" for name in sorted(base - installed)]
    # What a library of the base brings along is there anyway, whoever else names it.
    brought = {
        name
        for one in importlib.metadata.distributions()
        if one.metadata["Name"] != "entrepot"
        for name in names(one.requires or [], None)
    }
    complaints += [
        f"{name} of the server came with the base install" for name in sorted((server - base - brought) & installed)
    ]

    import entrepot

    if entrepot.__version__ != importlib.metadata.version("entrepot"):
        complaints.append(f"entrepot.__version__ is {entrepot.__version__}, the wheel says otherwise")
    members = zipfile.ZipFile(wheel).namelist()
    if "entrepot/py.typed" not in members:
        complaints.append("py.typed is missing: nobody's type checker will see our types")
    if "entrepot/web/static/built/page.js" not in members:
        complaints.append("what runs in the browser is missing: scripts/assets makes it")
    if not any(name.endswith("licenses/LICENSE") for name in members):
        complaints.append("the licence is missing")
    complaints += [
        f"{name} does not belong into the wheel"
        for name in members
        if not name.startswith(("entrepot/", "entrepot-")) or "__pycache__" in name
    ]
    for complaint in complaints:
        print(f"check-wheel: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
