"""Tables by SDK and command line, with a real server and its worker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import entrepot
from entrepot.client.client import Client
from entrepot.model.columns import Column, ColumnType
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.values import State
from tests.e2e.conftest import Cli, Running, answer, environment
from tests.e2e.test_documents import blocks

DATA = b"id,name,v\n" + b"".join(b"%d,%s,%d.5\n" % (i, b"x" if i % 2 else b"", i) for i in range(2500))


def test_a_table_from_bytes_to_frames(client: Client, project: str, tmp_path: Path) -> None:
    made = client.tables.create_from_bytes("T", DATA, project=project, timeout_s=60)
    assert (made.state, made.number, made.items) == (State.READY, 1, 2500)
    assert client.tables.download_bytes(made) == [DATA]
    (place,) = client.tables.download_files(made.id)
    assert (place.name, place.read_bytes()) == ("table.csv", DATA)
    assert [one.type for one in client.tables.schema(made).columns] == ["Int", "String", "Float"]
    rows = list(client.tables.rows(made, where="id >= 1500"))
    assert (len(rows), rows[0], rows[1]["name"]) == (1000, {"id": 1500, "name": None, "v": 1500.5}, "x")
    assert client.tables.row(made, 2499).values == [2499, "x", 2499.5]
    with pytest.raises(NotFound):
        client.tables.row(made, 2500)
    frame = client.tables.to_pandas(made, ["id", "v"])
    assert (frame.shape, float(frame["v"].sum())) == ((2500, 2), sum(i + 0.5 for i in range(2500)))
    assert client.tables.to_polars(made).shape == (2500, 3)
    found = client.tables.query("SELECT name, count(*) AS n FROM t GROUP BY 1 ORDER BY 1", {"t": made})
    assert found.rows == [["x", 1250], [None, 1250]]
    assert client.tables.query_arrow("SELECT max(v) AS m FROM t", {"t": f"{project}/t@1"}).to_pylist() == [
        {"m": 2499.5}
    ]
    assert client.tables.page(made, sort="-v", limit=1, timeout_s=60).rows[0].n == 2499
    assert client.tables.export(made, tmp_path / "t.parquet") == (tmp_path / "t.parquet").stat().st_size
    assert client.tables.statistics(made, ["name"]).columns[0].nulls == 1250


def test_frames_become_tables_and_versions_are_compared(client: Client, project: str) -> None:
    first = client.tables.create_from_dataframe("F", pd.DataFrame({"k": [1, 2], "s": ["007", None]}), project=project)
    second = client.tables.create_from_dataframe("F", pl.DataFrame({"k": [2, 3], "s": ["1e5", "x"]}), project=project)
    third = client.tables.create_from_dataframe("F", pa.table({"k": [2, 3], "s": ["1e5", "x"]}), project=project)
    assert [first.number, second.number, third.number] == [1, 2, 3]
    said = client.tables.diff(second, "k", base=first)
    assert (said.added, said.removed, said.changed_cells) == (1, 1, {"s": 1})
    assert client.tables.diff(third, base=second).rows == []


def test_files_come_one_by_one_and_bad_ones_are_told(client: Client, project: str, tmp_path: Path) -> None:
    columns = [Column("n", ColumnType.INT, nullable=False)]
    made = client.tables.create("Parts", ["a.csv", "b.csv"], columns=columns, project=project)
    client.tables.upload_bytes(made, b"n\n1\n", "a.csv")
    with pytest.raises(Invalid, match=r"b\.csv"):
        client.tables.update(made)
    (tmp_path / "other.csv").write_bytes(b"n\n2\n")
    client.tables.upload_file(made.id, tmp_path / "other.csv", "b.csv")
    done = client.tables.update(made, timeout_s=60, description="Two files")
    assert (done.description, [row["n"] for row in client.tables.rows(done)]) == ("Two files", [1, 2])
    (tmp_path / "bad.csv").write_bytes(b"n\n1\nx\n")
    with pytest.raises(Invalid, match="row 2: 'x' is no whole number") as refused:
        client.tables.create_from_file("Bad", tmp_path / "bad.csv", columns=columns, project=project)
    assert refused.value.errors[0]["row"] == 2


def test_rows_and_columns_are_added_to_a_table(client: Client, project: str) -> None:
    made = client.tables.create_from_bytes("Grows", b"id,v\n1,x\n", project=project)
    grown = client.tables.append(made, {"b.csv": b"id,v,w\n2,y,0.5\n"}, columns=[{"name": "w", "type": "Float"}])
    assert (grown.revision, next(iter(client.tables.rows(grown)))) == (2, {"id": 1, "v": "x", "w": None})
    with pytest.raises(Invalid, match="is no whole number"):
        client.tables.append(made, {"c.csv": b"id,v,w\nx,,\n"})
    last = client.tables.replace(made, {"d.csv": b"id,v,w\n7,z,\n"}, expected=2)
    assert client.tables.diff(last, "id").added == 1


def test_the_command_line(cli: Cli, client: Client, project: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(DATA)
    made = answer(cli("table", "create", "T", "t.csv", "--project", project, "--json"))
    thing = f"{project}/t"
    assert made["items"] == 2500
    assert "DateTime" not in cli("table", "show", thing).stdout
    assert cli("table", "head", thing, "-n", "1", "-c", "v").stdout == "0\t0.5\n"
    asked = cli("table", "query", "SELECT count(*) FROM t", "-t", f"t={thing}")
    assert asked.stdout == "2500\n"
    (tmp_path / "u.csv").write_bytes(DATA.replace(b"0,,0.5", b"0,,0.75"))
    cli("table", "create", "T", "u.csv", "--project", project)
    assert "0.5 → 0.75" in cli("table", "diff", thing, "--by", "id", "--base", f"{thing}@1").stdout
    (tmp_path / "more.csv").write_bytes(b"id,name,v\n2500,z,1.5\n")
    assert answer(cli("table", "append", thing, "more.csv", "--json"))["items"] == 2501
    assert "2,500" not in cli("table", "stats", thing, "-c", "v").stdout
    cli("table", "export", thing, "out.ndjson")
    assert json.loads((tmp_path / "out.ndjson").read_text().splitlines()[1]) == {"id": 1, "name": "x", "v": 1.5}
    (tmp_path / "bad.csv").write_bytes(b"a,b\n1\n")
    assert "fields" in cli("table", "create", "B", "bad.csv", "--project", project, code=6).stdout


def test_everything_is_said_by_id_too(client: Client, project: str, tmp_path: Path) -> None:
    made = client.tables.create("By id", ["b.csv", "a.csv"], project=project).id
    client.tables.upload_bytes(made, b"n,x\n1,p\n", "b.csv")
    (tmp_path / "a.csv").write_bytes(b"n,x\n2,q\n")
    client.tables.upload_file(made, tmp_path / "a.csv")
    assert client.tables.update(made, timeout_s=60).id == made
    assert client.tables.get(made).items == client.tables.wait_until_done(made, timeout_s=60).items == 2
    # In the order of the manifest, which is not that of the names.
    assert client.tables.download_bytes(made, timeout_s=60) == [b"n,x\n1,p\n", b"n,x\n2,q\n"]
    assert [one.name for one in client.tables.download_files(made)] == ["b.csv", "a.csv"]
    (tmp_path / "here").mkdir()
    here = client.tables.download_files(made, tmp_path / "here", timeout_s=60)
    assert [one.parent.name for one in here] == ["here", "here"]
    assert [row["x"] for row in client.tables.rows(made)] == ["p", "q"]
    assert client.tables.row(made, 1).values == [2, "q"]
    assert len(client.tables.to_arrow(made)) == len(client.tables.to_pandas(made)) == len(client.tables.to_polars(made))
    assert client.tables.query("SELECT sum(n) FROM t", {"t": made}).rows == [[3]]
    assert client.tables.statistics(made).rows == client.tables.schema(made).rows == 2
    assert client.tables.export(made, tmp_path / "out.csv") > 0
    grown = client.tables.append(made, {"c.csv": b"n,x\n3,r\n"}, timeout_s=60)
    assert client.tables.diff(made, "n", base=1).added == grown.items - 2
    assert client.tables.rejects(made).rejected_rows == 0


def test_columns_of_a_table_change_by_command(cli: Cli, project: str, tmp_path: Path) -> None:
    thing = f"{project}/grown"
    (tmp_path / "a.csv").write_bytes(b"id,sig\n1,10\n")
    cli("table", "create", "Grown", "a.csv", "--project", project)
    (tmp_path / "b.csv").write_bytes(b"id,signal,unit\n2,0.5,mV\n")
    (tmp_path / "wider.json").write_text('[{"name": "signal", "type": "Float"}, {"name": "unit", "type": "String"}]')
    assert "without a value" not in cli("table", "append", thing, "--rename", "sig=signal").stdout
    cli("table", "append", thing, "b.csv", "--schema", "wider.json", "--expected", "2")
    assert cli("table", "head", thing).stdout.splitlines() == ["0\t1\t10.0\t", "1\t2\t0.5\tmV"]
    assert "revision 3" in cli("table", "append", thing, "b.csv", "--replace", "--expected", "2", code=None).stderr
    shown = answer(cli("table", "append", thing, "b.csv", "--replace", "--json"))
    assert (shown["items"], shown["revision"]) == (1, 4)
    # What was is still there, in its own columns.
    assert cli("table", "head", f"{thing}@1.1").stdout.splitlines() == ["0\t1\t10"]
    (tmp_path / "narrow.json").write_text('{"fields": [{"name": "signal", "type": "integer"}]}')
    assert "cannot become Int" in cli("table", "append", thing, "--schema", "narrow.json", code=None).stderr
    assert "OLD=NEW" in cli("table", "append", thing, "--rename", "signal", code=None).stderr
    (tmp_path / "c.csv").write_bytes(b"id,signal,unit\nx,1,mV\n")
    assert "'x'" not in (refused := cli("table", "append", thing, "c.csv", code=6)).stderr.splitlines()[-1:]
    assert "type" in refused.stdout
    assert answer(cli("table", "show", thing, "--json"))["version"]["revision"] == 4


@pytest.mark.skipif(sys.platform == "win32", reason="the tutorial is written for a POSIX shell")
def test_the_tutorial_of_tables(server: Running, root: Path, tmp_path: Path) -> None:
    shell, python = [], []
    for block in blocks(root / "docs/tutorial/csv-to-query.md"):
        (python if block.startswith("import ") else shell).append(block)
    script = "\n".join(["set -e", f'entrepot() {{ "{sys.executable}" -m entrepot.cli.main "$@"; }}', *shell])
    env = {**environment(), "ENTREPOT_URL": server.url, "ENTREPOT_TOKEN": server.token}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'0012' has leading zeros" in done.stderr
    assert "O.48" in done.stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENTREPOT_URL", server.url)
        patch.setenv("ENTREPOT_TOKEN", server.token)
        names: dict[str, object] = {}
        exec(compile(python[0], "tutorial", "exec"), names)
    assert list(names["plate"]["sample"]) == ["0012", "0013", "0014", "0015"]  # type: ignore[index]
    assert names["summary"].items == 1  # type: ignore[attr-defined]
    assert entrepot.Client is not None


def test_the_serving_process_imports_no_reader_of_tables(server: Running, client: Client, project: str) -> None:
    """Whatever is asked of it: they are large, and what they read is hostile."""
    made = client.tables.create_from_bytes("T", b"a\n1\n", project=project)
    client.tables.statistics(made)
    readers = ("duckdb", "pyarrow", "numpy", "zstandard")
    checked = f"import sys, entrepot.server.house; print([m for m in {readers} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", checked], capture_output=True, text=True, env=environment())
    assert done.stdout == "[]\n", done.stderr
    maps = [Path(f"/proc/{pid}/maps") for pid in _serving(server.process.pid)]
    assert maps
    for one in maps:
        text = one.read_text()
        assert "duckdb" not in text
        assert "libarrow" not in text


def _serving(pid: int) -> list[int]:
    """The processes of a server that answer requests: not its worker, nor those that are there to read tables."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text()
            name = Path(f"/proc/{child}/comm").read_text().strip()
            reads_tables = "entrepot.tabular.child" in words or "tests.support.starter\0tables" in words
            if name != "entrepot-worker" and not reads_tables:
                found += _serving(int(child))
    return found
