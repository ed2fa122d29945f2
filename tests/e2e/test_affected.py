"""What depends on a version that turns out to be bad, and what those who depend on it are told."""

from __future__ import annotations

from entrepot.client.client import Client
from tests.e2e.conftest import Cli, answer


def test_what_is_affected_and_who_is_told(client: Client, project: str, cli: Cli) -> None:
    raw, means, plot, apart = (
        client.versions.create(name, project=project) for name in ("raw", "means", "plot", "apart")
    )
    client.data.write(raw, b"1", "a.txt")
    client.data.write(raw, b"2", "a.txt")
    client.relationships.create(means, raw, "derived_from", target_revision=1)
    client.relationships.create(plot, means, "plotted_from")
    client.relationships.create(apart, raw, "compared_with", target_revision=2)
    # Edges may run in circles; nothing affects itself.
    client.relationships.create(raw, plot, "checked_by")

    def affected(thing: str) -> list[tuple[str, int]]:
        rows = answer(cli("link", "affected", thing, "--json"))["affected"]
        return [(row["version"]["name"], row["distance"]) for row in rows]

    assert affected(f"{project}/raw") == [("means", 1), ("apart", 1), ("plot", 2)]
    assert affected(f"{project}/raw@1.1") == [("means", 1), ("plot", 2)]
    assert affected(f"{project}/apart") == []
    assert f"{project}/plot" in cli("link", "affected", f"{project}/raw").stdout
    cli("note", "add", f"{project}/raw", "the scale was off")
    (told,) = answer(cli("note", "list", f"{project}/plot", "--json"))["rows"]
    assert (told["text"], told["distance"], told["author"]) == ("the scale was off", 2, "admin")
    cli("note", "remove", f"{project}/plot", told["id"], code=3)
    cli("note", "remove", f"{project}/raw", told["id"])
    assert answer(cli("note", "list", f"{project}/plot", "--json"))["rows"] == []
