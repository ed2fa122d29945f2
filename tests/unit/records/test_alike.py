"""What is known of lines that are written alike: that it is never more than the reference, and that it is not less."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrepot.records import alike, check, fast, reference
from entrepot.records.alike import Alike, automaton
from entrepot.records.check import Check
from entrepot.records.faults import Reason
from entrepot.records.rules import rule_of

SEEN: dict[str, Any] = {
    "id": 1,
    "name": "Müller",
    "box": {"x": 1, "y": {"z": []}},
    "marks": [{"at": 1}, {"at": 2, "by": "a"}],
    "path": [[[1, 2], [3]], []],
    "end": None,
}


def taught(*objects: dict[str, Any]) -> Alike:
    one = Alike()
    one.learn(objects)
    return one


def lines(*objects: object, ascii: bool = False, **how: Any) -> bytes:
    return "".join(json.dumps(one, ensure_ascii=ascii, **how) + "\n" for one in objects).encode()


OTHERS: list[dict[str, Any]] = [
    SEEN | {"id": -1.5e-7, "name": 'a "b": \\ / \n\t {[,]} \u007f 😀', "end": True},
    SEEN | {"id": "text", "box": None, "marks": [], "path": [[], [[]]]},
    SEEN | {"box": {}, "marks": [3, {"at": {}, "by": "x"} | {"at": 0}], "path": 1e19},
    SEEN | {"name": "", "marks": [{"at": n} for n in range(50)], "end": 9999999999999999999},
]


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\t", " : ")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n"])
def test_lines_are_known_however_they_are_written(separators: tuple[str, str], ascii: bool, end: bytes) -> None:
    text = lines(*OTHERS[:2], OTHERS[3], ascii=ascii, separators=separators).replace(b"\n", end)
    assert taught(SEEN).fits(text)
    assert taught(SEEN).fits(text.rstrip())


def test_a_key_that_some_objects_lack_may_be_missing_in_others() -> None:
    known = taught({"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}, {"x": 1})
    assert known.fits(lines({"a": 0}, {"a": 0, "b": 0}, {"a": 0, "c": 0}, {"a": 0, "b": 0, "c": 0}, {"x": 0}, {}))
    for other in ({"b": 0}, {"a": 0, "c": 0, "b": 0}, {"x": 0, "a": 0}, {"a": 0, "d": 0}):
        assert not known.fits(lines(other))


def test_two_orders_of_the_same_keys_are_two_and_not_mixed() -> None:
    known = taught({"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3, "b": 2})
    assert known.fits(lines({"a": 0, "b": 0, "c": 0}, {"a": 0, "c": 0, "b": 0}))
    assert not known.fits(b'{"a":0,"b":0,"c":0,"b":0}')


GOOD = lines(SEEN, separators=(",", ":")).strip()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"id":1', b'"id":1,"id":1'),
        (b'"x":1', b'"x":1,"x":1'),
        (b'"x":1,', b'"x":1,"\\u0078":1,'),
        (b'{"at":1}', b'{"at":1,"at":1}'),
        (b'"by":"a"', b'"by":"a","by":"a"'),
        (b'"id":1', b'"id":NaN'),
        (b'"id":1', b'"id":-Infinity'),
        (b'"id":1', b'"id":1e999'),
        (b'"id":1', b'"id":1' + b"0" * 400 + b".0"),
        (b'"id":1', b'"id":01'),
        (b'"id":1', b'"id":1.'),
        (b'"id":1', b'"id":+1'),
        (b'"id":1', b'"id":'),
        (b'"id":1,', b'"id":1,,'),
        (b'"id":1', b'"id":tru'),
        (b'"id":1', b'"id":"\\ud800"'),
        (b'"id":1', b'"id":"\\ude00\\ud83d"'),
        (b'"id":1', b'"id":"\\x41"'),
        (b'"id":1', b'"id":"a\tb"'),
        (b'"id":1', b'"id":"a\nb"'),
        (b'"id":1', b'"id":"\\"'),
        (b'"id":1', b'"id":"\xff"'),
        (b'"id":1', b'"id":"\xed\xa0\x80"'),
        (b'"id":1', b'"id":"\xc0\xaf"'),
        (b"[3]", b"[3,]"),
        (b"[3]", b"[,3]"),
        (b"[3]", b"[3"),
        (b"[3]", b"[3}"),
        (b"[]", b"[" * 300 + b"]" * 300),
        (b'"end":null}', b'"end":null,}'),
        (b'"end":null}', b'"end":null}}'),
        (b'"end":null}', b'"end":null} {}'),
        (b'{"id"', b'[{"id"'),
        (b'{"id"', b'\xef\xbb\xbf{"id"'),
        (GOOD, b""),
        (GOOD, b"null"),
        (GOOD, GOOD + GOOD),
    ],
)
def test_nothing_is_known_of_a_line_that_is_bad(old: bytes, new: bytes) -> None:
    bad = GOOD.replace(old, new, 1)
    assert bad != GOOD
    assert any(reference.examine(line) for line in bad.split(b"\n"))
    known = taught(SEEN)
    assert known.fits(GOOD + b"\n" + GOOD)
    assert not known.fits(b"\n".join([GOOD, bad, GOOD]))
    assert not known.fits(bad)


# Against the reference

keys = st.text(st.sampled_from('ab:"\\é '), max_size=3)
scalars = st.sampled_from(
    [0, -1, 2.5, 1e22, 10**18, 10**30, True, None, "", 'a"b', "\\", "é😀", "x\n", "\u2028", "{[,]}:"]
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
items = st.dictionaries(keys, values, max_size=4)
spoiled = st.sampled_from(
    [
        b"",
        b"\xff",
        b"\\",
        b'"',
        b"{",
        b"}",
        b"]",
        b",",
        b":",
        b" ",
        b"0",
        b"9e999",
        b"NaN",
        b"\\ud800",
        b"\r",
        b"\n",
        b'"a":1,',
    ]
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(items, min_size=1, max_size=4),
    st.lists(items, max_size=2),
    st.booleans(),
    st.integers(0, 400),
    st.integers(0, 60),
    st.integers(0, 400),
    spoiled,
    st.booleans(),
)
@example([{"a": {"b": 1, "c": 2}, "c": 3}], [], False, 11, 6, 6, b"", True)
def test_what_is_known_to_be_good_is_so(
    seen: list[dict[str, Any]],
    others: list[dict[str, Any]],
    ascii: bool,
    at: int,
    size: int,
    to: int,
    new: bytes,
    twice: bool,
) -> None:
    """A piece of the text is spoiled, or stands at another place a second time, as a key with its value may."""
    known = taught(*seen)
    text = lines(*seen, *others, ascii=ascii)
    plain = all(letter not in key for letter in '"\\' for key in _keys_of(seen))
    numbers = "1000000000000000000000000000000" not in json.dumps(seen)
    if plain and numbers and not (ascii and "\\u00e9" in json.dumps([*_keys_of(seen)])):
        assert known.fits(lines(*seen, ascii=ascii))
    at, to = at % (len(text) + 1), to % (len(text) + 1)
    spoilt = text[:to] + text[at : at + size] + text[to:] if twice else text[:at] + new + text[at + size :]
    if known.fits(spoilt):
        found = spoilt.removesuffix(b"\n").split(b"\n")
        assert [fault for line in found if (fault := reference.examine(line)) is not None] == []


def _keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | set().union(*map(_keys_of, value.values()))
    return set().union(*map(_keys_of, value)) if isinstance(value, list) else set()


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "GROUP", 200)


@pytest.mark.usefixtures("small_groups")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(items, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 99), spoiled), max_size=3),
    st.integers(1, 2000),
)
def test_a_file_of_lines_that_are_alike_is_judged_as_by_the_reference(
    seen: list[dict[str, Any]], changes: list[tuple[int, int, bytes]], block: int
) -> None:
    rows = lines(*seen * (2000 // (1 + len(lines(*seen)))), {}).split(b"\n")[:-1]
    for row, at, new in changes:
        line = rows[row % len(rows)]
        if b"\n" not in new:
            rows[row % len(rows)] = line[: at % (len(line) + 1)] + new + line[at % (len(line) + 1) + 1 :]
    rows.append(b"{}")
    wanted = [(i, fault.reason) for i, line in enumerate(rows, 1) if (fault := reference.examine(line)) is not None]
    data = b"\n".join(rows)
    one = Check()
    for start in range(0, len(data), block):
        one.feed(data[start : start + block])
    done = one.finish()
    assert [(bad.line, bad.fault.reason) for bad in done.listed] == wanted
    assert done.items == len(rows) - len(wanted)


# That it is asked

ALIKE = [{"id": n, "url": f"http://h:{n}/", "box": {"x": n / 7, "tags": ["a:b"] * (n % 3)}} for n in range(3000)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all texts that objects are made of."""
    found = fast.tools()
    assert found is not None
    sizes: list[int] = []

    def counted(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        def run(text: bytes) -> Any:
            sizes.append(len(text))
            return decode(text)

        return run

    tools = found._replace(decode=counted(found.decode), decode_lines=counted(found.decode_lines))
    monkeypatch.setattr(fast, "tools", lambda: tools)
    return sizes


def checked(data: bytes, declared: object = None) -> check.Checked:
    one = Check(rule=rule_of(declared))
    one.feed(data)
    return one.finish()


def test_what_was_learned_is_not_decoded_again(decoded: list[int]) -> None:
    assert checked(lines(*ALIKE)).items == 3000
    # The first group, since most files have one, and that of which it is learned.
    assert len(decoded) == 2


def test_what_becomes_another_shape_is_learned_beside_the_first(decoded: list[int]) -> None:
    others = [{"id": str(n), "kind": None, "more": [{"a": n}]} for n in range(3000)]
    mixed = [row for pair in zip(ALIKE, others, strict=True) for row in pair]
    assert checked(lines(*ALIKE, *others, *mixed, *ALIKE)).items == 15_000
    assert len(decoded) == 3


def test_bad_lines_among_those_that_are_alike_are_found(decoded: list[int]) -> None:
    rows = lines(*ALIKE).split(b"\n")
    rows[1500] = rows[1500].replace(b'"x"', b'"x":1,"x"')
    done = checked(b"\n".join(rows))
    assert [(bad.line, bad.fault.reason) for bad in done.listed] == [(1501, Reason.DUPLICATE_KEY)]
    assert sum(decoded) < 5 * fast.GROUP


def test_keys_without_end_are_not_learned(decoded: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(alike, "automaton", lambda expression: made.append(expression) or automaton(expression))
    rows = [{"id": n, "by name": {f"key{n}": n, "x": {"y": f"{n:09}"}}} for n in range(5000)]
    assert checked(lines(*rows)).items == 5000
    assert made == []
    assert len(decoded) > 4


def test_what_differs_by_nothing_that_is_learned_is_asked_for_more_and_more_rarely() -> None:
    known = taught({"a": 1})
    odd = lines({"a": 10**30})
    asked = 0
    for _ in range(1000):
        if known.learns:
            asked += 1
            assert not known.fits(odd)
            known.learn([{"a": 10**30}])
        else:
            known.fits(odd)
    assert asked < 10
    assert not known.fits(odd)


def test_an_automaton_that_outgrows_its_memory_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_MEMORY", 1 << 16)
    assert not taught(SEEN).fits(GOOD)


def test_keys_that_would_have_to_be_escaped_are_not_learned() -> None:
    assert not taught({'a"b': 1}).fits(lines({'a"b': 1}))
    assert taught({"a'b.*": 1}).fits(lines({"a'b.*": 1}))


# Kinds of lines

IMAGES = [{"kind": "Image", "url": f"https://example.org/{n}.png", "more": {"n": n}} for n in range(2500)]


def test_lines_of_a_known_kind_are_neither_decoded_nor_held_against_its_schema(decoded: list[int]) -> None:
    assert checked(lines(*IMAGES), {"lines": "image"}).items == 2500
    assert len(decoded) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Video"},
        {"kind": None},
        {"url": "ftp://example.org/a"},
        {"url": "https://"},
        {"url": "https://\n"},
        {"url": ["https://example.org"]},
    ],
)
def test_lines_that_are_not_of_the_kind_are_bad_wherever_they_stand(change: dict[str, Any]) -> None:
    done = checked(lines(*IMAGES, IMAGES[0] | change, *IMAGES), {"lines": "image"})
    assert [(bad.line, bad.fault.reason) for bad in done.listed] == [(2501, Reason.SCHEMA)]
    done = checked(lines(*IMAGES, {"url": "https://a"}, {"kind": "Image"}, {}, *IMAGES), {"lines": "image"})
    assert [bad.line for bad in done.listed] == [2501, 2502, 2503]


def test_what_makes_lines_certain_is_never_missing() -> None:
    known = Alike({"kind": b'"Image"'})
    known.learn([{"x": 1, "kind": "Image", "y": 2}, {"x": 1}, {"y": 1}])
    assert known.fits(lines({"x": 0, "kind": "Image"}))
    for other in ({"x": 0}, {}, {"y": 0}, {"x": 0, "kind": "Video"}):
        assert not known.fits(lines(other))


def test_a_schema_is_held_against_every_line() -> None:
    schema = {"properties": {"id": {"maximum": 2998}}}
    done = checked(lines(*ALIKE), {"schema": schema})
    assert [bad.line for bad in done.listed] == [3000]
