"""The commands that scripts rely on: exact forms, JSON on standard output and nothing else, exit codes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.client.client import Client
from tests.e2e.conftest import COMMAND, PASSWORD, Cli, Running, answer, environment, make_tree, read_tree, run

TOKEN = re.compile(r"[A-Za-z0-9_-]{40,}")


def test_a_token_is_made_beside_the_running_server(server: Running) -> None:
    done = run(["token", "create", "--data", str(server.data), "--user", "admin", "--scope", "read", "--json"])
    made = answer(done)
    assert set(made) == {"id", "token"}
    assert made["id"].startswith("tok_")
    assert TOKEN.fullmatch(made["token"])
    with Client(server.url, made["token"]) as client:
        me = client.whoami()
    assert (me.user and me.user.name, me.scope, me.staff) == ("admin", "read", False)


@pytest.mark.parametrize(("user", "code"), [("nobody-of-this-name", 3)])
def test_a_token_of_nobody_is_refused(server: Running, user: str, code: int) -> None:
    done = run(["token", "create", "--data", str(server.data), "--user", user, "--scope", "read", "--json"])
    assert (done.returncode, done.stdout) == (code, "")
    assert user in done.stderr


def test_a_forgotten_password_is_set_on_the_folder_beside_the_running_server(server: Running) -> None:
    with Client(server.url, server.token) as client:
        client.users.create("forgetful", password="the first one")
    line = ["user", "password", "forgetful", "--data", str(server.data), "--new-env", "NEW"]
    done = run([*line, "--json"], NEW="the second one")
    assert answer(done) == {"user": "forgetful", "changed": True}
    with Client(server.url) as client:
        assert client.login("forgetful", "the second one")
    refused = run(["user", "password", "--data", str(server.data), "--password-env", "NEW"], NEW="the third one")
    assert (refused.returncode, "name the user" in refused.stderr) == (1, True), refused.stderr


def test_a_token_where_no_server_ever_was_is_refused(tmp_path: Path) -> None:
    done = run(["token", "create", "--data", str(tmp_path / "none"), "--user", "admin", "--scope", "read"])
    assert done.returncode == 3
    assert "entrepot serve" in done.stderr


def test_a_second_server_on_the_same_folder_is_refused_in_words(server: Running) -> None:
    done = run(["serve", "--data", str(server.data), "--port", "0"])
    assert done.returncode == 5
    assert "already running" in done.stderr


def test_users_and_projects_are_made_as_scripts_make_them(cli: Cli, server: Running) -> None:
    made = answer(cli("user", "add", "ada", "--password-env", "ADA", "--json", ADA="long-enough"))
    assert (made["name"], made["email"], made["staff"]) == ("ada", "ada@localhost", False)
    project = answer(cli("project", "create", "Ada's birds", "--json"))
    assert project["id"].startswith("proj_")
    assert cli("user", "add", "ada", "--json", code=5).stdout == ""
    assert cli("user", "add", "eve", "--password-env", "NOT_SET", code=1).stderr.count("NOT_SET") == 1


def test_logging_in_with_a_token_and_out_again(server: Running, cli: Cli, tmp_path: Path) -> None:
    token = answer(cli("token", "create", "--scope", "write", "--name", "laptop", "--json"))["token"]
    done = run(["login", "--url", server.url, "--token-env", "MINE"], MINE=token)
    assert done.returncode == 0, done.stderr
    assert token not in done.stdout + done.stderr
    stored = Path(os.environ["XDG_CONFIG_HOME"]) / "entrepot" / "credentials.json"
    if sys.platform != "win32":
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    me = answer(run(["whoami", "--json"]))
    assert (me["user"]["name"], me["scope"]) == ("admin", "write")
    assert answer(run(["auth", "status", "--json"]))[0]["url"] == server.url
    assert answer(run(["logout", "--json"]))["ended"] is True
    assert run(["whoami"]).returncode == 4
    with Client(server.url, token) as client, pytest.raises(Exception, match="token"):
        client.whoami()


def test_logging_in_with_a_password(server: Running) -> None:
    done = run(["auth", "login", "--url", server.url, "--user", "admin", "--password-env", "PW", "--json"], PW=PASSWORD)
    assert answer(done)["user"] == "admin"
    assert answer(run(["whoami", "--json"]))["staff"] is True
    wrong = run(["login", server.url, "--user", "admin", "--password-env", "PW"], PW="wrong-password")
    assert wrong.returncode == 4
    assert "wrong-password" not in wrong.stderr


def test_the_server_is_named_with_or_without_the_option(server: Running) -> None:
    assert answer(run(["login", server.url, "--user", "admin", "--password-env", "PW", "--json"], PW=PASSWORD))
    both = run(["login", server.url, "--url", "http://other.example.org", "--token-env", "BAD"], BAD="x")
    assert both.returncode == 1
    assert "Name one server" in both.stderr
    assert answer(run(["logout", server.url, "--json"]))["ended"] is True


def test_a_token_that_is_no_good_is_not_stored(server: Running) -> None:
    done = run(["login", "--url", server.url, "--token-env", "BAD"], BAD="ent_" + "x" * 43)
    assert done.returncode == 4
    assert answer(run(["auth", "status", "--json"])) == []


def test_a_day_with_a_dataset(cli: Cli, tmp_path: Path, project: str) -> None:
    """Push, edit, compare, restore, pull: each with its JSON, each JSON with what scripts read from it."""
    target = f"{project}/penguins"
    make_tree(tmp_path / "tree", {"a.csv": b"1\n", "old/b.csv": b"2\n"})
    pushed = answer(cli("push", "tree", target, "-m", "first", "--json"))
    assert (pushed["made"], pushed["revision"], pushed["sent"]["files"]) == ("dataset", 1, pushed["sent"]["files"])
    (tmp_path / "tree/old/b.csv").rename(tmp_path / "tree/b.csv")
    make_tree(tmp_path / "tree", {"a.csv": b"1\n3\n"})
    pushed = answer(cli("push", "tree", target, "--json"))
    assert pushed["renamed"] == {"b.csv": "old/b.csv"}
    assert pushed["changed_paths"] == ["a.csv"]
    assert not answer(cli("push", "tree", target, "--json"))["changed"]

    listed = answer(cli("versions", target, "--json"))
    assert [revision["number"] for revision in listed[0]["revisions"]] == [2, 1, 0]
    assert listed[0]["revisions"][1]["message"] == "first"

    rows = answer(cli("diff", f"{target}@1.1", f"{target}@1.2", "--json"))["rows"]
    assert sorted((row["change"], row["path"]) for row in rows) == [("changed", "a.csv"), ("renamed", "b.csv")]
    assert cli("diff", target).stdout == cli("diff", f"{target}@1.1", f"{target}@1.2").stdout

    assert answer(cli("restore", f"{target}@1.1", "--json"))["revision"]["number"] == 3
    assert cli("restore", target, code=1).stderr.startswith("entrepot: ")
    assert [row["path"] for row in answer(cli("ls", "-r", target, "--json"))] == ["a.csv", "old/b.csv"]
    assert cli("ls", target).stdout.splitlines() == ["a.csv\t2 B", "old/"]
    assert cli("cat", f"{target}@1.2/a.csv").stdout == "1\n3\n"
    assert cli("cat", f"{target}@1.2/a.csv", "--from", "2", "--to", "3").stdout == "3"

    pulled = answer(cli("pull", f"{target}@1.2", "copy", "--lock", "--json"))
    assert pulled["reference"] == f"{target}@1.2"
    assert read_tree(tmp_path / "copy") == {"a.csv": b"1\n3\n", "b.csv": b"2\n"}
    assert answer(cli("pull", "--locked", "--json"))[0]["fetched"] == {"files": 0, "bytes": 0}
    make_tree(tmp_path / "copy", {"stray": b"x"})
    assert cli("pull", "--locked", code=6).stdout == ""


def test_show_takes_the_id_of_any_door(cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"a": b"1"})
    cli("push", "tree", f"{project}/ids")
    shown = answer(cli("show", f"{project}/ids", "--json"))
    assert set(shown["ids"]) >= {"native", "benchling", "datature", "flow", "ufdl"}
    for door, identity in shown["ids"].items():
        wanted = f"{door}:{identity}" if identity.isdecimal() else identity
        again = answer(cli("show", wanted, "--json"))
        assert again["version"]["id"] == shown["version"]["id"], f"{door}: {wanted}"
    entry = answer(cli("show", f"{project}/ids/a", "--json"))["entry"]
    assert (entry["path"], entry["size"]) == ("a", 1)
    assert "dataset" in cli("show", f"{project}/ids").stdout
    assert answer(cli("show", project, "--json"))["project"]["slug"] == project


def test_files_are_moved_copied_and_removed_at_the_server(cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"a": b"1", "raw/b": b"2", "raw/c": b"3"})
    one, two = f"{project}/one", f"{project}/two"
    cli("push", "tree", one)
    cli("cp", one, two)
    cli("mv", f"{one}/a", "renamed")
    cli("mv", "-r", f"{one}/raw", f"{one}/cooked")
    cli("cp", f"{two}/a", f"{one}/copied")
    cli("rm", f"{one}/cooked/b")
    assert [row["path"] for row in answer(cli("ls", "-r", one, "--json"))] == ["cooked/c", "copied", "renamed"]
    assert cli("rm", f"{one}/never", code=3).stdout == ""
    cli("rm", "-r", f"{one}/cooked")
    assert [row["path"] for row in answer(cli("ls", "-r", two, "--json"))] == ["a", "raw/b", "raw/c"]
    moved = answer(cli("mv", two, f"{project}/three", "--json"))
    assert moved["slug"] == "three"


def test_records_are_edited_and_go_through_the_trash(cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"a": b"1"})
    target = f"{project}/record"
    cli("push", "tree", target)
    edited = answer(
        cli("set", target, "--description", "About birds", "--tags", "x, y", "--visibility", "listed", "--json")
    )
    assert (edited["description"], edited["tags"], edited["visibility"]) == ("About birds", ["x", "y"], "listed")
    assert cli("tag", target, "--add", "z", "--remove", "x").stdout == "y, z\n"
    assert cli("set", target, code=1).stdout == ""
    assert answer(cli("freeze", target, "--json"))["frozen_at"] is not None
    assert cli("rm", f"{target}/a", code=5).stdout == ""
    cli("unfreeze", target)
    identity = answer(cli("trash", target, "--reason", "a test", "--json"))["id"]
    assert cli("show", target, code=3).stdout == ""
    assert [row["id"] for row in answer(cli("ls", project, "--trashed", "--json"))] == [identity]
    cli("reinstate", identity)
    assert answer(cli("show", target, "--json"))["version"]["id"] == identity
    assert cli("purge", target, code=1).stderr.count("--yes") == 1
    # The byte of the file may be another test's, too.
    would = answer(cli("purge", target, "--dry-run", "--json"))
    assert (would["id"], would["frees"] in (0, 1)) == (identity, True)
    assert "frees" in cli("purge", target, "--dry-run").stdout
    assert answer(cli("purge", target, "--yes", "--json"))["id"] == identity
    assert cli("show", identity, code=3).stdout == ""


def test_links_are_made_followed_and_drawn(cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"a": b"1"})
    for name in ("raw", "clean", "plot"):
        cli("push", "tree", f"{project}/{name}")
    made = answer(cli("link", "add", f"{project}/clean", f"{project}/raw", "--json"))
    assert (made["verb"], made["source"]["name"], made["target"]["name"]) == ("derived_from", "clean", "raw")
    cli("link", "add", f"{project}/plot", f"{project}/clean", "--verb", "plotted_from")
    drawn = cli("link", "graph", f"{project}/plot").stdout.splitlines()
    assert drawn[0] == f"{project}/plot@1.1"
    assert f"└─ plotted_from: {project}/clean@1.1" in drawn[1]
    assert f"└─ derived_from: {project}/raw@1.1" in drawn[2]
    assert len(answer(cli("link", "list", f"{project}/clean", "--json"))) == 2
    cli("link", "remove", made["id"])
    assert len(answer(cli("link", "list", f"{project}/clean", "--json"))) == 1


def test_teams_tokens_licences_and_nodes(cli: Cli) -> None:
    cli("user", "add", "grace")
    team = answer(cli("team", "create", "ornithology", "--json"))
    assert answer(cli("team", "add", "ornithology", "grace", "--role", "write", "--json"))["role"] == "write"
    assert [row["user"] for row in answer(cli("team", "members", "ornithology", "--json"))] == ["grace"]
    cli("team", "remove", "ornithology", "grace")
    assert answer(cli("project", "create", "Team birds", "--team", "ornithology", "--json"))["team"] == "ornithology"
    assert answer(cli("team", "trash", "ornithology", "--json"))["id"] == team["id"]
    token = answer(cli("token", "create", "--scope", "read", "--user", "grace", "--json"))
    assert answer(cli("whoami", "--json", ENTREPOT_TOKEN=token["token"]))["user"]["name"] == "grace"
    cli("token", "revoke", token["id"])
    assert cli("whoami", code=4, ENTREPOT_TOKEN=token["token"]).stdout == ""
    assert len(answer(cli("licence", "list", "--json"))) >= 14
    made = answer(cli("licence", "create", "Lab terms", "--json"))
    cli("licence", "delete", made["id"])
    node = answer(cli("node", "create", "gpu-1", "--json"))
    assert answer(cli("node", "deactivate", node["id"], "--json"))["active"] is False
    cli("user", "deactivate", "grace")


def test_what_one_may_not_do_is_4(cli: Cli) -> None:
    token = answer(cli("token", "create", "--scope", "read", "--json"))["token"]
    done = cli("project", "create", "Not mine", "--json", code=4, ENTREPOT_TOKEN=token)
    assert done.stdout == ""
    assert "scope" in done.stderr


def test_bad_names_are_all_named_and_nothing_is_sent(cli: Cli, tmp_path: Path, project: str) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such names")
    make_tree(tmp_path / "tree", {"ok": b"1"})
    (tmp_path / "tree" / "back\\slash").write_bytes(b"x")
    os.mkfifo(tmp_path / "tree" / "pipe")
    done = cli("push", "tree", f"{project}/bad", code=1)
    assert "back\\slash" in done.stderr
    assert "pipe" in done.stderr
    cli("show", f"{project}/bad", code=3)


def test_progress_and_messages_never_reach_standard_output(cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"a": b"1", "A": b"2"})
    (tmp_path / "tree" / "empty").mkdir()
    done = cli("push", "tree", f"{project}/quiet", "--json")
    json.loads(done.stdout)
    assert "differ by case" in done.stderr
    assert "skipped empty" in done.stderr


def test_an_archive_holds_the_tree(cli: Cli, tmp_path: Path, project: str) -> None:
    import tarfile
    import zipfile

    make_tree(tmp_path / "tree", {"a": b"1", "raw/b": b"2"})
    cli("push", "tree", f"{project}/packed")
    cli("archive", f"{project}/packed", "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert sorted(packed.namelist()) == ["a", "raw/b"]
        assert packed.read("raw/b") == b"2"
    cli("archive", f"{project}/packed", "all.tar.gz")
    with tarfile.open(tmp_path / "all.tar.gz") as packed_tar:
        assert sorted(packed_tar.getnames()) == ["a", "raw/b"]
    assert cli("archive", f"{project}/packed", "all.rar", code=1).stderr.count(".zip") == 1


def test_a_reader_that_goes_away_is_no_failure_of_ours(server: Running, cli: Cli, tmp_path: Path, project: str) -> None:
    make_tree(tmp_path / "tree", {"large": b"line\n" * 500_000})
    cli("push", "tree", f"{project}/piped")
    process = subprocess.Popen(
        [*COMMAND, "cat", f"{project}/piped/large"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ENTREPOT_URL=server.url, ENTREPOT_TOKEN=server.token),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"line\n"
    process.stdout.close()
    shown = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert b"Traceback" not in shown
    assert b"Exception" not in shown


def test_the_audit_has_everything_since_a_moment(cli: Cli, server: Running) -> None:
    made = answer(cli("token", "create", "--scope", "read", "--name", "seen in the audit", "--json"))["id"]
    told = answer(cli("audit", "--since", "1h", "--json"))
    assert any(event["verb"] == "token.created" and event["subject"] == made for event in told)
    assert [event["n"] for event in told] == sorted((event["n"] for event in told), reverse=True)
    assert answer(cli("audit", "--since", "2999-01-01", "--json")) == []
    assert {event["verb"] for event in answer(cli("audit", "--since", "1d", "--verb", "token.created", "--json"))} == {
        "token.created"
    }
    assert "7d" in cli("audit", "--since", "tomorrow", code=1).stderr
