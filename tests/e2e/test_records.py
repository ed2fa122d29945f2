"""Records by SDK and command line, with a real server and its worker."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrepot.client.client import Client
from entrepot.model.errors import Invalid, KindMismatch, NotFound
from entrepot.model.values import Kind, State
from tests.e2e.conftest import Cli, Running, answer
from tests.e2e.test_documents import blocks

ROWS = [{"id": i, "label": {"name": "cat" if i % 3 else "dog"}, "u": "ü:"} for i in range(2500)]


def ndjson(path: Path, rows: object = ROWS) -> Path:
    assert isinstance(rows, list)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_records_from_their_file_to_their_items(client: Client, project: str, tmp_path: Path) -> None:
    expires = datetime.now(UTC) + timedelta(days=30)
    made = client.records.create("Batch", ndjson(tmp_path / "b.ndjson"), project=project, expires_at=expires)
    done = client.records.wait_until_done(made, interval=1, timeout=60)
    assert (done.state, done.number, done.items, done.expires_at) == (State.READY, 1, 2500, expires)
    assert list(client.records.items(made)) == ROWS
    assert client.records.item(f"{project}/batch", 2499) == ROWS[2499]
    assert [item["id"] for item in client.records.items(done, first=2490, where='label.name == "dog"')] == [
        2490,
        2493,
        2496,
        2499,
    ]
    assert [row.n for row in client.records.sample(done, 3, seed=1)] == [
        row.n for row in client.records.sample(done, 3, seed=1)
    ]
    assert {key.path: key.types for key in client.records.statistics(done).keys}["label.name"] == {"string": 2500}
    with pytest.raises(NotFound):
        client.records.item(done, 2500)
    ndjson(tmp_path / "c.ndjson", [*ROWS[1:], {"id": -1}])
    after = client.records.wait_until_done(client.records.create("Batch", tmp_path / "c.ndjson", project=project), 1)
    assert after.number == 2
    diff = client.records.diff(after, "id", base=f"{project}/batch@1")
    assert (diff.added, diff.removed, diff.changed) == (1, 1, 0)
    assert client.records.export(after, tmp_path / "out.csv") == (tmp_path / "out.csv").stat().st_size
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "id,label,u"


def test_tables_become_records_and_records_become_tables(
    client: Client, cli: Cli, project: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("id,code\n" + "".join(f"{i},0{i}\n" for i in range(300)))
    made = client.records.wait_until_done(client.records.create("Rows", tmp_path / "rows.csv", project=project), 1)
    assert (made.items, client.records.item(made, 7)) == (300, {"id": 7, "code": "07"})
    told: list[object] = []
    size = client.records.export(made, tmp_path / "rows.parquet", on_progress=told.append)
    assert (size, told != []) == ((tmp_path / "rows.parquet").stat().st_size, True)
    held = client.data.from_file(tmp_path / "rows.parquet", "Held", project=project)
    again = answer(cli("records", "from-table", held.id, "Again", "--path", "rows.parquet", "--json"))
    assert (again["items"], list(client.records.items(again["id"]))) == (300, list(client.records.items(made)))
    (edge,) = client.relationships.list(again["id"], direction="out")
    assert (edge.verb, edge.target.version if edge.target else None) == ("derived_from", held.id)
    table = client.versions.wait(client.records.to_table(made, "As a table", project=project))
    assert (table.kind, table.state, table.items) == (Kind.TABLE, State.READY, 300), table.report
    back = client.records.wait_until_done(client.records.from_table(table, "Back", project=project), 1)
    assert list(client.records.items(back)) == list(client.records.items(made))
    assert [edge.target.version for edge in client.relationships.list(back, direction="out") if edge.target] == [
        table.id
    ]
    (tmp_path / "bad.csv").write_text("id\n1,2\n")
    bad = cli("records", "create", "Bad", str(tmp_path / "bad.csv"), "--project", project, code=6)
    assert "Row 1 has 2 cells, the header 1." in bad.stderr


def test_bad_lines_are_an_error_that_names_them(client: Client, project: str, tmp_path: Path) -> None:
    (tmp_path / "b.ndjson").write_bytes(b'{"kind":"Image","url":"https://a/b"}\n{"kind":"Image"}\n')
    made = client.records.create("Batch", tmp_path / "b.ndjson", lines="image", project=project)
    with pytest.raises(Invalid, match=r"Line 2 does not fit the schema at \$: .*url") as caught:
        client.records.wait_until_done(made, interval=1, timeout=60)
    assert caught.value.errors[0]["line"] == 2
    assert client.records.rejects(made).bad_lines == 1


def test_lists_have_pages_to_both_sides_by_attribute_and_by_key(client: Client, project: str, tmp_path: Path) -> None:
    made = [client.records.create(f"B{i}", ndjson(tmp_path / "b.ndjson", [{}]), project=project).id for i in range(3)]
    first = client.records.list({"limit": 2}, project=project)
    assert ([one.id for one in first.data], first.prev_page, first["previous_page"]) == (made[:0:-1], None, None)
    second = client.records.list({"limit": 2, "page": first["next_page"]}, project=project)
    assert ([one.id for one in second["data"]], second.next_page) == (made[:1], None)
    back = client.records.list({"limit": 2, "page": second.previous_page}, project=project)
    assert [one.id for one in back.data] == [one.id for one in first.data]
    assert client.records.delete(made[0]).deleted
    assert len(client.records.list(project=project).data) == 2
    with pytest.raises(Invalid):
        client.records.list({"size": 2})
    with pytest.raises(KindMismatch):
        client.records.get(client.versions.create("files", project=project))


def test_the_commands(cli: Cli, project: str, tmp_path: Path) -> None:
    file = str(ndjson(tmp_path / "b.ndjson"))
    made = answer(cli("records", "create", "Batch", file, "--project", project, "--json"))
    assert (made["state"], made["items"]) == ("ready", 2500)
    name = f"{project}/batch"
    assert [row["n"] for row in answer(cli("records", "items", name, "--first", "2498", "--json"))] == [2498, 2499]
    assert cli("records", "items", name, "--where", "id == 7").stdout.startswith('7\t{"id": 7')
    assert len(answer(cli("records", "sample", name, "-n", "3", "--json"))) == 3
    assert "label.name\t2500\tstring" in cli("records", "stats", name).stdout
    assert answer(cli("records", "list", "--project", project, "--json"))["data"][0]["id"] == made["id"]
    assert answer(cli("records", "show", name, "--json"))["id"] == made["id"]
    assert answer(cli("records", "export", name, str(tmp_path / "o.csv"), "--json"))["bytes"] > 0
    (tmp_path / "bad.ndjson").write_text('{"a":1}\nx\n')
    bad = cli("records", "create", "Bad", str(tmp_path / "bad.ndjson"), "--project", project, code=6)
    assert (bad.returncode, bad.stdout.split("\t")[:2]) == (6, ["2", "8"])
    assert "Line 2 is not JSON" in bad.stderr
    assert answer(cli("records", "delete", name, "--json")) == {"id": made["id"], "deleted": True}


def test_the_commands_of_the_guide(server: Running, cli: Cli, client: Client, root: Path, tmp_path: Path) -> None:
    client.projects.create("lab")
    said = []
    for block in blocks(root / "docs/how-to/check-records.md"):
        if block.startswith("import "):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ENTREPOT_URL", server.url)
                patch.setenv("ENTREPOT_TOKEN", server.token)
                exec(compile(block, "check-records.md", "exec"), {})
            continue
        for line in block.splitlines():
            if line.startswith("entrepot "):
                said.append(cli(*shlex.split(line)[1:]).stdout)
            else:
                subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert sorted(said[-1].splitlines()) == ["changed\t2\t1\t0", "removed\t1\t0\t"]


def test_a_project_lets_its_new_records_expire(cli: Cli, client: Client, project: str, tmp_path: Path) -> None:
    assert answer(cli("project", "set", project, "--expire-after", "30", "--json"))["default_expiry_s"] == 30 * 86400
    made = client.records.create("Batch", ndjson(tmp_path / "b.ndjson", [{}]), project=project)
    assert made.expires_at is not None
    assert made.expires_at - made.created_at == timedelta(days=30)
    assert answer(cli("set", made.id, "--expires", "", "--json"))["expires_at"] is None
    assert cli("project", "set", project, "--expire-after", "soon", code=1).stdout == ""
