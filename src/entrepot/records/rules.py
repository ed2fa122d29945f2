"""What lines have to be beside JSON objects: a JSON Schema, or a kind of line known by name.

A version declares one of

    {"schema": {…}}        a JSON Schema, of any draft since 4; it names its draft by `$schema`, else it is 2020-12
    {"lines": "image"}     the name of a kind below

A schema comes from outside. So it fetches nothing (a reference to another document is refused), and its patterns run
in an engine whose time grows with the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from entrepot.model.errors import Invalid, Unsupported
from entrepot.records.alike import ADDRESS
from entrepot.records.check import Rule

#: Kinds of lines by name. `image` is what batches of images for prediction are made of.
LINE_KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "image": {
        "type": "object",
        "required": ["kind", "url"],
        "properties": {
            "kind": {"const": "Image"},
            "url": {"type": "string", "pattern": "^(https?|gs|s3)://."},
        },
    },
}

#: How lines of a kind are written most often, by which they are known without being decoded; of all others the schema
#: decides.
_CERTAIN: Final[Mapping[str, Mapping[str, bytes]]] = {"image": {"kind": b'"Image"', "url": ADDRESS}}

#: Characters of what the validator says; it quotes the value, which may be long.
_SAID = 200


class SchemaRule:
    """Lines of one schema."""

    def __init__(self, schema: Mapping[str, Any], certain: Mapping[str, bytes] | None = None) -> None:
        """Compile it.

        Args:
            certain: See `Rule`.

        Raises:
            Invalid: It is no JSON Schema, or one that refers to other documents.
            Unsupported: This installation lacks the library.
        """
        try:
            import jsonschema_rs
        except ImportError as error:
            raise Unsupported("This server was installed without jsonschema-rs; it cannot check schemas.") from error
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(schema), retriever=_fetch_nothing, pattern_options=jsonschema_rs.RegexOptions()
            )
        # The library raises its own errors and plain ones; whatever it is, it speaks of the schema.
        except Exception as error:
            first = str(error).strip().splitlines()[0][:_SAID]
            raise Invalid(f"The declared schema cannot be used: {first}") from error
        self.certain = certain
        self._is_valid = self._validator.is_valid

    def all_good(self, items: Sequence[dict[str, Any]]) -> bool:
        return all(map(self._is_valid, items))

    def fault(self, item: dict[str, Any]) -> str | None:
        for error in self._validator.iter_errors(item):
            where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
            message = str(error.message)
            shown = message if len(message) <= _SAID else message[:_SAID] + "…"
            return f"does not fit the schema at ${where}: {shown}"
        return None


def rule_of(declared: object) -> Rule | None:
    """The rule of what a version declares; None if it declares nothing about lines.

    Raises:
        Invalid: It is not one of the two forms, names no kind there is, or is no usable schema.
    """
    if declared is None:
        return None
    if isinstance(declared, Mapping) and set(declared) == {"schema"} and isinstance(declared["schema"], Mapping):
        return SchemaRule(declared["schema"])
    if isinstance(declared, Mapping) and set(declared) == {"lines"}:
        kind = str(declared["lines"])
        known = LINE_KINDS.get(kind)
        if known is None:
            raise Invalid(f"There is no kind of line {kind[:60]!r}. Known: {', '.join(LINE_KINDS)}.")
        return SchemaRule(known, _CERTAIN.get(kind))
    raise Invalid('Records declare {"schema": {…}} with a JSON Schema, or {"lines": "image"}; nothing else.')


def _fetch_nothing(uri: str) -> NoReturn:
    raise ValueError(f"it refers to {uri[:100]}, and schemas fetch nothing; put it into $defs")
