"""The drill: everything is copied while the server runs and people write, put back elsewhere, and compared."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from entrepot.client.client import Client
from tests.e2e.conftest import Running, answer, make_tree, read_tree, run, run_here, start_server


def test_a_server_comes_back_from_its_backup_with_every_byte(server: Running, tmp_path: Path) -> None:
    files = {f"plate-{n:02}/well.csv": f"well,{n}\n".encode() * 1000 * (n + 1) for n in range(20)}
    backup, new = tmp_path / "backup", tmp_path / "new" / "data"
    tree = make_tree(tmp_path / "tree", files)
    stop = threading.Event()

    def go_on_writing() -> None:
        with Client(server.url, server.token) as other:
            for n in range(20):
                if stop.is_set():
                    return
                other.data.push(make_tree(tmp_path / f"more{n}", {"n": str(n).encode()}), f"drill/noise-{n}")

    with Client(server.url, server.token) as client:
        client.projects.create("Drill", slug="drill")
        client.data.push(tree, "drill/plates")
        writing = threading.Thread(target=go_on_writing)
        writing.start()
        try:
            first = answer(run_here(["backup", str(backup), "--data", str(server.data), "--json"]))
        finally:
            stop.set()
            writing.join()
        (tree / "plate-00" / "well.csv").write_bytes(b"measured again\n")
        client.data.push(tree, "drill/plates")
    second = answer(run_here(["backup", str(backup), "--data", str(server.data), "--json"]))
    assert first["backup"]["lost"] == second["backup"]["lost"] == []
    assert 0 < second["copied"] < second["backup"]["objects"], "what is there already is not copied again"
    names = [one["name"] for one in json.loads(run_here(["backup", str(backup), "--list", "--json"]).stdout)]
    assert names == [first["backup"]["name"], second["backup"]["name"]]
    assert names[0] in run_here(["backup", str(backup), "--list"]).stdout
    checked = answer(run_here(["backup", str(backup), "--check", "--json"]))
    assert (checked["backups"], checked["damaged"], checked["lost"]) == (names, [], [])

    old, newest = ["restore-backup", str(backup), "--data", str(new / "old")], str(new / "newest")
    assert run_here([*old, "--at", names[0]]).returncode == 0
    assert run_here(["restore-backup", str(backup), "--data", newest]).returncode == 0
    for folder, changed in ((str(new / "old"), files["plate-00/well.csv"]), (newest, b"measured again\n")):
        checked = answer(run_here(["verify", "--data", folder, "--json"]))
        assert (checked["damaged"], checked["contents"] >= 20) == ([], True)
        # Small files lie in one object with others.
        objects = [path.read_bytes() for path in (Path(folder) / "objects").rglob("*") if path.is_file()]
        assert any(changed in stored for stored in objects)
    again = start_server(Path(newest), worker=False)
    try:
        # The old server's token is good here too.
        with Client(again.url, server.token) as client:
            client.data.download("drill/plates", tmp_path / "down")
    finally:
        again.stop()
        assert again.process.stdout is not None
        again.process.stdout.close()
    assert read_tree(tmp_path / "down") == files | {"plate-00/well.csv": b"measured again\n"}
    refused = run_here(old)
    assert refused.returncode == 5, refused.stderr
    assert "not empty" in refused.stderr


def test_a_restore_that_was_cut_off_is_not_served_and_goes_on(server: Running, tmp_path: Path) -> None:
    backup, new = tmp_path / "backup", tmp_path / "new"
    assert run_here(["backup", str(backup), "--data", str(server.data)]).returncode == 0
    name = json.loads(run_here(["backup", str(backup), "--list", "--json"]).stdout)[0]["name"]
    # As a kill leaves it.
    new.mkdir()
    (new / "restoring.json").write_text(json.dumps({"backup": name}))
    (new / "objects").mkdir()
    refused = run(["serve", "--data", str(new), "--port", "0"])
    assert refused.returncode != 0
    assert "restore-backup" in refused.stderr
    assert run_here(["restore-backup", str(backup), "--data", str(new)]).returncode == 0
    assert answer(run_here(["verify", "--data", str(new), "--json"]))["damaged"] == []


def test_damage_and_mistakes_are_said(server: Running, tmp_path: Path) -> None:
    inside = run_here(["backup", str(server.data / "backup"), "--data", str(server.data)])
    assert inside.returncode == 5
    assert "another disk" in inside.stderr
    nothing = run_here(["restore-backup", str(tmp_path), "--data", str(tmp_path / "new")])
    assert nothing.returncode == 3
    assert "no whole backup" in nothing.stderr
    # A first backup that was cut off leaves the folder without one.
    (tmp_path / "cut" / "catalogs").mkdir(parents=True)
    assert "no whole backup" in run_here(["backup", str(tmp_path / "cut"), "--list"]).stderr
    assert run_here(["backup", str(tmp_path / "never"), "--list"]).returncode == 3
