"""Regular expressions that anybody may ask for: those of one pass, whose time grows with the text and nothing else.

    characters, `.`, `[a-z]`, `[^…]`, `\\d \\w \\s` and their opposites, `|`, groups, `^`, `$`, `* + ? {m,n}` and the
    lazy forms of these, which find the same

What looks back (`\\1`) or around (`(?=…)`) is refused: it is what makes other engines take for ever. All states are
followed at once (after Thompson), so a pattern costs at most its own length for each character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from entrepot.model.errors import Invalid

__all__ = ["MAX_LENGTH", "Pattern"]

#: Characters of a pattern, states that it may become, and how deep its groups may nest.
MAX_LENGTH: Final = 200
MAX_STATES: Final = 2_000
MAX_DEPTH: Final = 50

Test: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Take:
    """One character that passes a test, then `to`."""

    test: Test
    to: int


@dataclass(frozen=True, slots=True)
class _Fork:
    """Any of these without a character; `at` says where in the text that holds: `^`, `$` or anywhere."""

    to: tuple[int, ...]
    at: str = ""


class Pattern:
    """A pattern to be searched for anywhere in a text.

    Raises:
        Invalid: It is no pattern, or one that is not allowed; the message says where.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise Invalid(f"A pattern has at most {MAX_LENGTH} characters, not {len(text)}.")
        self.text = text
        self._at = 0
        self._depth = 0
        # State 0 is the end; fragments are built from behind, so each knows where it leads.
        self._states: list[_Take | _Fork | None] = [None]
        tree = self._either()
        if self._at < len(text):
            raise self._wrong("has a `)` too many")
        self._start = tree(0)

    def search(self, text: str) -> bool:
        """Whether it is anywhere in the text."""
        held: set[int] = set()
        for at in range(len(text) + 1):
            self._follow(self._start, at, len(text), held)
            if 0 in held:
                return True
            if at == len(text):
                break
            character, following = text[at], set[int]()
            for number in held:
                state = self._states[number]
                if isinstance(state, _Take) and state.test(character):
                    self._follow(state.to, at + 1, len(text), following)
            if 0 in following:
                return True
            held = following
        return False

    def _follow(self, start: int, at: int, end: int, held: set[int]) -> None:
        waiting = [start]
        while waiting:
            number = waiting.pop()
            if number in held:
                continue
            held.add(number)
            state = self._states[number]
            if isinstance(state, _Fork) and (not state.at or at == (0 if state.at == "^" else end)):
                waiting.extend(state.to)

    # Reading it. Each part becomes a function from where it leads to where it starts.

    def _either(self) -> Callable[[int], int]:
        choices = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            choices.append(self._sequence())
        if len(choices) == 1:
            return choices[0]
        return lambda to: self._add(_Fork(tuple(one(to) for one in choices)))

    def _sequence(self) -> Callable[[int], int]:
        parts: list[Callable[[int], int]] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))

        def build(to: int) -> int:
            for part in reversed(parts):
                to = part(to)
            return to

        return build

    def _repeated(self, part: Callable[[int], int]) -> Callable[[int], int]:
        least, most = 1, 1
        sign = self._peek()
        if sign == "{":
            least, most = self._bounds()
        elif sign and sign in "*+?":
            self._at += 1
            least, most = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}[sign]
        else:
            return part
        if self._peek() == "?":
            self._at += 1
        if self._peek() and self._peek() in "*+?{":
            raise self._wrong("repeats a repetition")

        def build(to: int) -> int:
            if most < 0:
                loop = self._add(None)
                body = part(loop)
                self._states[loop] = _Fork((body, to))
                to = loop
            else:
                end = to
                for _ in range(most - least):
                    to = self._add(_Fork((part(to), end)))
            for _ in range(least):
                to = part(to)
            return to

        return build

    def _bounds(self) -> tuple[int, int]:
        end = self.text.find("}", self._at)
        inside = self.text[self._at + 1 : end] if end > 0 else ""
        low, comma, high = inside.partition(",")
        if not all(one.isascii() and one.isdecimal() and len(one) <= 3 for one in (low or "0", high or "0")):
            raise self._wrong("has a `{` without numbers; write `\\{` for the character")
        if not low and not high:
            raise self._wrong("has a `{` without numbers; write `\\{` for the character")
        self._at = end + 1
        least = int(low or 0)
        most = least if not comma else int(high) if high else -1
        if 0 <= most < least:
            raise self._wrong("repeats from more to less")
        return least, most

    def _atom(self) -> Callable[[int], int]:
        character = self.text[self._at]
        if character in "*+?{":
            raise self._wrong(f"has nothing before {character!r}")
        self._at += 1
        if character == "(":
            return self._group()
        if character in "^$":
            return lambda to: self._add(_Fork((to,), character))
        if character == ".":
            return self._one(lambda _: True)
        if character == "[":
            return self._one(self._class())
        if character == "\\":
            return self._one(self._escape())
        return self._one(lambda found: found == character)

    def _group(self) -> Callable[[int], int]:
        if self._peek() == "?":
            if self.text[self._at : self._at + 2] != "?:":
                raise self._wrong("looks around or names a group; only `(…)` and `(?:…)` are known")
            self._at += 2
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong("nests too deep")
        inside = self._either()
        self._depth -= 1
        if self._peek() != ")":
            raise self._wrong("has a `(` without its `)`")
        self._at += 1
        return inside

    def _class(self) -> Test:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Test] = []
        first = True
        while first or self._peek() != "]":
            if not self._peek():
                raise self._wrong("has a `[` without its `]`")
            tests.append(self._member())
            first = False
        self._at += 1
        return lambda found: any(test(found) for test in tests) is not negated

    def _member(self) -> Test:
        low = self.text[self._at]
        self._at += 1
        if low == "\\":
            return self._escape()
        if self._peek() == "-" and self.text[self._at + 1 : self._at + 2] not in ("", "]"):
            high = self.text[self._at + 1]
            if high == "\\" or high < low:
                raise self._wrong("has a range that does not go up")
            self._at += 2
            return lambda found: low <= found <= high
        return lambda found: found == low

    def _escape(self) -> Test:
        letter = self._peek()
        self._at += 1
        known = _CLASSES.get(letter.lower())
        if known is not None:
            return known if letter.islower() else lambda found: not known(found)
        if not letter or letter.isalnum():
            raise self._wrong(f"has `\\{letter}`, which means nothing here")
        return lambda found: found == letter

    def _one(self, test: Test) -> Callable[[int], int]:
        return lambda to: self._add(_Take(test, to))

    def _add(self, state: _Take | _Fork | None) -> int:
        if len(self._states) >= MAX_STATES:
            raise Invalid(f"The pattern {self.text!r} repeats too much. Make it simpler.")
        self._states.append(state)
        return len(self._states) - 1

    def _peek(self) -> str:
        return self.text[self._at : self._at + 1]

    def _wrong(self, what: str) -> Invalid:
        return Invalid(f"The pattern {self.text!r} {what}, near character {self._at + 1}.")


_CLASSES: Final[dict[str, Test]] = {
    "d": str.isdecimal,
    "w": lambda found: found.isalnum() or found == "_",
    "s": str.isspace,
}
