"""The samples for systemd are true: systemd reads them, and the server does all of its work under what they demand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.client.client import Client
from entrepot.model.values import State
from tests.e2e.conftest import make_tree
from tests.support.lab_files import corpus
from tests.support.server import PATIENCE_S, command, running_server

UNITS = ("entrepot.service", "entrepot-backup.service", "entrepot-backup.timer")
TABLE = b"id,name,v\n" + b"".join(b"%d,x%d,%d.5\n" % (one, one, one) for one in range(500))


@pytest.fixture(scope="module", autouse=True)
def _systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")


def test_systemd_itself_finds_nothing_wrong_with_them(root: Path, tmp_path: Path) -> None:
    for name in UNITS:
        # The program and its user are not installed here; everything else is as it is in the sample.
        text = (root / "examples" / "deploy" / name).read_text()
        text = text.replace("/opt/entrepot/bin/entrepot", sys.executable).replace("User=entrepot\n", "User=root\n")
        (tmp_path / name).write_text(text)
    places = [str(tmp_path / name) for name in UNITS]
    checked = run(["systemd-analyze", "verify", "--man=no", *places])
    assert (checked.returncode, checked.stderr) == (0, "")


def confined(root: Path, unit: str, folder: Path, *words: str) -> list[str]:
    launcher = root / "tests" / "support" / "confined.py"
    return [sys.executable, str(launcher), str(root / "examples" / "deploy" / unit), str(folder), "--", *words]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_server_does_all_of_its_work_under_what_the_sample_demands(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()

    def program(*arguments: str) -> list[str]:
        return confined(root, "entrepot.service", data, *command(*arguments))

    # What reads them is written in C, and may do what a filter of system calls does not like.
    readers = ("cram", "bigwig", "anndata", "ome-tiff", "dicom", "parquet", "pdf")
    lab = {f"a.{kind}": content for kind, content in corpus().items() if kind in readers}
    with running_server(data, program=program, begin=subprocess.Popen) as server:
        with Client(server.url, server.token()) as client:
            project = client.projects.create("Confined").slug
            client.data.push(make_tree(tmp_path / "lab", lab), f"{project}/lab")
            table = client.tables.create_from_bytes("T", TABLE, project=project, timeout_s=PATIENCE_S)
            assert (table.state, table.items) == (State.READY, 500)
            assert client.tables.query("SELECT max(v) AS m FROM t", {"t": table}).rows == [[499.5]]
            assert client.tables.page(table, where="v >= 490", limit=3).rows
            client.tables.export(table, tmp_path / "t.parquet")
            client.tasks.wait(client.data_types.check(f"{project}/lab"), timeout=PATIENCE_S)
            reports = {one.entry.path: one.report for one in client.data_types.reports(f"{project}/lab")}
            assert {path: report and report.standing for path, report in reports.items()} == dict.fromkeys(lab, "good")
        for pid in (server.pid, *server.children()):
            status = Path(f"/proc/{pid}/status").read_text()
            # Who is not root has none, and may not give up what they could get.
            without = f"CapBnd:\t{'0' * 16}\n" if os.geteuid() == 0 else f"CapEff:\t{'0' * 16}\n"
            for imposed in ("Seccomp:\t2\n", "NoNewPrivs:\t1\n", without):
                assert imposed in status
        # The backup beside it, under what its own sample demands.
        kept = tmp_path / "kept"
        kept.mkdir()
        words = [sys.executable, "-m", "entrepot.cli.main", "backup", str(kept), "--data", str(data)]
        backed = run(confined(root, "entrepot-backup.service", tmp_path, *words))
        assert backed.returncode == 0, backed.stderr
        assert server.terminate() == 0
    assert not any("error" in line or "warning" in line for line in server.lines), "".join(server.lines)


def test_what_is_imposed_holds(root: Path, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    refused = {
        "a namespace of its own": "import ctypes; libc = ctypes.CDLL(None); raise SystemExit(libc.unshare(0x10000000))",
        "memory that is written and run": "import mmap; mmap.mmap(-1, 4096, prot=7)",
        "a raw socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "another user": "import os; os.setuid(65534)",
        "an owner": "import os; os.chown('.', 65534, -1)",
    }
    code = "import sys\n" + "\n".join(
        f"try: exec({program!r})\nexcept BaseException: print('refused')\nelse: sys.exit({what!r} + ' was given')"
        for what, program in refused.items()
    )
    code += "\nopen('mine', 'w').close()"
    done = run(
        confined(
            root,
            "entrepot.service",
            tmp_path,
            "/bin/sh",
            "-c",
            f'cd {tmp_path} && exec "$0" -c "$1"',
            sys.executable,
            code,
        )
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["refused"] * len(refused)
    assert (tmp_path / "mine").exists()
