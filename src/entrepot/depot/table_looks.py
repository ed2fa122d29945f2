"""What the beginning of a file would be as a table, before anybody sends the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.depot.tabling import Effort, answer, workshop
from entrepot.model import names
from entrepot.model.access import Actor
from entrepot.model.columns import rules_of
from entrepot.model.errors import TooLarge

__all__ = ["LOOKED_AT", "look"]

#: Bytes of a file that are looked at.
LOOKED_AT: Final = 1 << 20
#: Rows that are shown.
_ROWS: Final = 20
#: Formats that say at their end where things are: of these only a whole file can be read.
_WHOLE_ONLY: Final = (b"PAR1", b"ARROW1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def look(
    depot: Depot, actor: Actor, name: str, beginning: bytes, *, whole: bool, rules: Mapping[str, Any] | None = None
) -> Mapping[str, Any] | None:
    """Columns with their types, the first rows, and what would be refused, by the beginning of a file.

    Nothing is kept. The check of all rows may find other types, if the rest is otherwise than the beginning.

    Args:
        beginning: Up to `LOOKED_AT` bytes.
        whole: Whether that is all of the file. Otherwise its last line is cut, and not looked at.
        rules: As a version declares them.

    Returns:
        `columns`, `rows`, `good`, `bad`, `errors`, `notes`, `format`; None where the beginning of such a file tells
        nothing.

    Raises:
        Unauthenticated: Nobody is signed in.
        Invalid: It cannot be read as a table at all, or the rules are none.
        TooLarge: That is no beginning any more.
    """
    lookup.person(actor)
    if len(beginning) > LOOKED_AT:
        raise TooLarge(f"At most the first {LOOKED_AT} bytes of a file are looked at.")
    clean, said = names.file_name(name), rules_of(rules).as_json()
    if not whole:
        cut = beginning.rfind(b"\n") + 1
        if beginning.startswith(_WHOLE_ONLY) or not cut:
            return None
        beginning = beginning[:cut]
    with workshop(depot).spool(iter([beginning])) as path:
        source = {"name": clean, "size": len(beginning), "spans": [[path, 0, len(beginning)]]}
        request = {"do": "look", "source": source, "rules": said, "rows": _ROWS}
        found: dict[str, Any] = answer(depot, request, Effort.READ)[0]
    last = found["good"] + found["bad"]
    if not whole and found["errors"] and found["errors"][-1]["row"] == last:
        # A row of several lines was cut in the middle, which is nobody's fault.
        found["errors"] = [one for one in found["errors"] if one["row"] != last]
        found["bad"] -= 1
    return found
