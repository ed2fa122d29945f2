"""The check of NDJSON: what is good, what is bad and why, and that the fast way never says more than the slow one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrepot.model.errors import Invalid
from entrepot.records import alike, fast, reference
from entrepot.records.check import Check, Checked
from entrepot.records.faults import Reason
from entrepot.records.group import Lines
from entrepot.records.index import Index, IndexWriter, take
from entrepot.records.rules import rule_of


def check(data: bytes, *, block: int = 1 << 20, declared: object = None, **more: Any) -> Checked:
    one = Check(rule=rule_of(declared), **more)
    for at in range(0, len(data), block):
        one.feed(data[at : at + block])
    return one.finish()


def reasons(data: bytes, **more: Any) -> list[tuple[int, Reason]]:
    return [(bad.line, bad.fault.reason) for bad in check(data, **more).listed]


def test_every_good_line_is_an_item() -> None:
    done = check(b'{"a":1}\n{"b":[{"c":null}]}\n')
    assert (done.items, done.bad, done.size) == (2, 0, 27)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n", b"\n \r\n\n"])
def test_the_end_of_the_last_line_may_look_as_it_likes(end: bytes) -> None:
    done = check(b'{"a":1}\r\n{"b":2}' + end)
    assert (done.items, done.bad) == (2, 0)


def test_a_blank_line_in_the_middle_is_bad() -> None:
    assert reasons(b'{"a":1}\n\n \n{"b":2}\n\n') == [(2, Reason.EMPTY), (3, Reason.EMPTY)]


def test_an_empty_file_has_no_items_and_no_faults() -> None:
    assert (check(b"").items, check(b"").bad) == (0, 0)


BAD = {
    b'{"a":1': Reason.NOT_JSON,
    b"{'a':1}": Reason.NOT_JSON,
    b'{"a":1,}': Reason.NOT_JSON,
    b'{"a":01}': Reason.NOT_JSON,
    b'{"a":1} {"b":2}': Reason.NOT_JSON,
    b'{"a":1}{"b":2}': Reason.NOT_JSON,
    b'{"a":"\x01"}': Reason.NOT_JSON,
    b'{"a":1}\x0b': Reason.NOT_JSON,
    b'{"a":1}\x00': Reason.NOT_JSON,
    b'{"a":NaN}': Reason.NOT_A_NUMBER,
    b'{"a":-Infinity}': Reason.NOT_A_NUMBER,
    b'{"a":1e999}': Reason.NUMBER_OUT_OF_RANGE,
    b'{"a":' + b"9" * 5000 + b"}": Reason.NUMBER_OUT_OF_RANGE,
    b'{"a":1,"a":1}': Reason.DUPLICATE_KEY,
    b'{"a":1,"\\u0061":2}': Reason.DUPLICATE_KEY,
    b'{"a":[{"b":{"k":1,"k":{"x":":"}}}]}': Reason.DUPLICATE_KEY,
    b'{"a":1,"a" : "\\u003a"}': Reason.DUPLICATE_KEY,
    b'{"\\ud800":1}': Reason.LONE_SURROGATE,
    b'{"a":["\\udc00\\ud800"]}': Reason.LONE_SURROGATE,
    b'{"a":"\xff"}': Reason.NOT_UTF8,
    b'{"a":"\xc0\xaf"}': Reason.NOT_UTF8,
    b'{"a":"\xed\xa0\x80"}': Reason.NOT_UTF8,
    b'{"a":"\xf4\x90\x80\x80"}': Reason.NOT_UTF8,
    b"[1]": Reason.NOT_AN_OBJECT,
    b"null": Reason.NOT_AN_OBJECT,
    b'{"a":' + b"[" * 200 + b"]" * 200 + b"}": Reason.TOO_DEEP,
    b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}": Reason.TOO_DEEP,
    b"[" * 100_000: Reason.TOO_DEEP,
}


@pytest.mark.parametrize("line", BAD, ids=lambda line: line[:24].decode("latin-1"))
def test_a_bad_line_is_told_with_number_place_and_reason(line: bytes) -> None:
    done = check(b'{"ok":1}\n' + line + b'\n{"ok":2}\n')
    (bad,) = done.listed
    assert (done.items, done.bad, bad.line, bad.offset, bad.fault.reason) == (2, 1, 2, 9, BAD[line])
    assert bad.told().startswith("Line 2 ")
    json.dumps(bad.as_json("a.ndjson")).encode()


GOOD = [
    b'{"a":"\\ud83d\\ude00 \\u003a \\/"}',
    b'{"a":{"a":{"a":1}},"b":{"a":2}}',
    b'{"a":"x: \\"b\\":","b":"{[[["}',
    b'{"a":' + b"[" * 199 + b"]" * 199 + b"}",
    b'{"a":123456789012345678901234567890,"b":-0.0,"c":1e-999}',
    b'\t{ "a" :\t1 }\r',
    b'{"":"","\\u0000":null}',
]


@pytest.mark.parametrize("line", GOOD, ids=lambda line: line[:24].decode("latin-1"))
def test_an_unusual_line_is_good(line: bytes) -> None:
    assert check(line + b"\n").items == 1


def test_a_byte_order_mark_is_named() -> None:
    assert reasons(b'\xef\xbb\xbf{"a":1}\n{"b":1}\n') == [(1, Reason.BYTE_ORDER_MARK)]
    assert reasons('{"a":1}\n'.encode("utf-16")) == [(1, Reason.ENCODING)]


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_a_compressed_file_is_refused_as_a_whole(block: int) -> None:
    done = check(b"\x1f\x8b\x08\x00" + b"\n{}" * 500, block=block)
    assert (done.bad, done.listed[0].fault.reason, done.size) == (1, Reason.COMPRESSED, 1504)


def test_a_giant_line_is_passed_over_and_not_kept() -> None:
    one = Check(max_line=1000)
    one.feed(b'{"a":1}\n{"b":"')
    for _ in range(200):
        one.feed(b"x" * 100)
        assert len(one._tail) <= 1100
    one.feed(b'"}\n{"c":3}\n')
    done = one.finish()
    (bad,) = done.listed
    assert (done.items, bad.line, bad.offset, bad.fault.reason) == (2, 2, 8, Reason.TOO_LONG)
    assert "20008 bytes; a line may have 1000" in bad.told()


def test_all_bad_lines_are_counted_and_the_first_are_told() -> None:
    done = check(b"x\n" * 500, listed=7)
    assert (done.items, done.bad, [bad.line for bad in done.listed]) == (0, 500, [1, 2, 3, 4, 5, 6, 7])


def test_a_schema_names_the_place_in_the_item() -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"items": {"type": "integer"}}}}
    done = check(b'{"n":[1]}\n{"n":[1,"x"]}\n{}\n', declared={"schema": schema})
    assert [(bad.line, bad.fault.reason) for bad in done.listed] == [(2, Reason.SCHEMA), (3, Reason.SCHEMA)]
    assert "at $.n[1]" in done.listed[0].told()


def test_lines_of_images_have_a_kind_and_an_address() -> None:
    data = b'{"kind":"Image","url":"https://a/b.png"}\n{"kind":"Video","url":"https://a"}\n{"kind":"Image"}\n'
    assert reasons(data, declared={"lines": "image"}) == [(2, Reason.SCHEMA), (3, Reason.SCHEMA)]


@pytest.mark.parametrize(
    "declared",
    [
        {"lines": "film"},
        {"schema": {"type": "nothing"}},
        {"schema": {"pattern": "(a"}},
        {"schema": {"$ref": "http://127.0.0.1:1/other"}},
        {"schema": {"$ref": "file:///etc/hostname"}},
        {"columns": []},
        "x",
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(declared: object) -> None:
    with pytest.raises(Invalid):
        rule_of(declared)


# Against the reference

texts = st.text(st.sampled_from('ab:"\\{}[], é😀\u007f\u0000'), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(texts, inner), max_size=4).map(tuple),
    max_leaves=8,
)


def written(value: object, escape: bool, space: str) -> str:
    """JSON of a value whose tuples are objects, which may so have a key twice."""
    if isinstance(value, tuple):
        inner = ",".join(f"{written(k, escape, space)}{space}:{space}{written(v, escape, space)}" for k, v in value)
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, escape, space) for one in value) + "]"
    text = json.dumps(value, ensure_ascii=escape)
    return text.replace(":", "\\u003a") if escape and isinstance(value, str) and ":" in value else text


objects = st.lists(st.tuples(texts, values), max_size=4).map(tuple)
lines_ = st.builds(written, objects, st.booleans(), st.sampled_from(["", " ", "\t"])).map(str.encode)
damaged = st.builds(
    lambda line, at, new: line[: at % (len(line) + 1)] + new + line[at % (len(line) + 1) + 1 :],
    lines_,
    st.integers(0, 200),
    st.sampled_from(
        [b"", b"\xff", b"\\", b'"', b"}", b"{}", b"NaN", b"\\ud800", b"\xed\xa0\x80", b" ", b"9e999", b"\r"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(lines_ | damaged, min_size=1, max_size=6), st.integers(1, 40))
@example([b'{"a":{"b":1,"b":{}}}', b"{}"], 1)
def test_the_fast_way_agrees_with_the_reference(lines: list[bytes], block: int) -> None:
    wanted = [(i, fault.reason) for i, line in enumerate(lines, 1) if (fault := reference.examine(line)) is not None]
    done = check(b"\n".join([*lines, b"{}"]), block=block)
    if done.listed and done.listed[0].fault.reason in (Reason.COMPRESSED, Reason.ENCODING):
        return
    assert [(bad.line, bad.fault.reason) for bad in done.listed] == wanted
    assert done.items == len(lines) + 1 - len(wanted)


@pytest.mark.skipif(fast.tools() is None, reason="msgspec is not installed: everything is judged by the reference")
def test_ordinary_lines_are_judged_the_fast_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(line: bytes) -> None:
        raise AssertionError(line)

    monkeypatch.setattr(reference, "examine", slow)
    rows = [
        {"kind": "Image", "url": f"https://x/{i}", "box": [{"x": i, "y": [1.5, None]}], "é": "ü"} for i in range(2000)
    ]
    assert check("\n".join(json.dumps(row) for row in rows).encode()).items == 2000


# Lines that are all alike

ALIKE = [
    b'{"id":%d,"box":{"x":1,"in":[{"k":0}]},"marks":[{"at":1,"of":[{"n":2},{"n":3}]},{"at":2,"of":[]}]}' % n
    for n in range(3000)
]


def test_what_becomes_another_shape_in_the_middle_is_judged_alike() -> None:
    others = [b'{"id":%d,"x":null}' % n for n in range(3000)]
    mixed = [line for pair in zip(ALIKE, others, strict=True) for line in pair]
    assert check(b"\n".join([*ALIKE, *others, *mixed, *ALIKE])).items == 15_000


@pytest.mark.parametrize(
    "bad",
    [
        ALIKE[7].replace(b'"x":1', b'"x":1,"x":1'),
        ALIKE[7].replace(b'{"k":0}', b'{"k":0,"k":{}}'),
        ALIKE[7].replace(b'{"n":3}', b'{"n":3,"\\u006e":3}'),
        ALIKE[7].replace(b'"id":7', b'"id":1,"id":{"y":1}'),
        ALIKE[7].replace(b'"at":2,', b'"at":2,"at":{"at":3},'),
    ],
)
def test_a_repeated_key_among_lines_of_one_shape_is_found(bad: bytes) -> None:
    assert reasons(b"\n".join([*ALIKE, bad, *ALIKE])) == [(3001, Reason.DUPLICATE_KEY)]


@pytest.mark.parametrize(
    "pair",
    [
        (ALIKE[0] + ALIKE[1], b""),
        (b"", ALIKE[0] + ALIKE[1]),
        (b"\r", ALIKE[0] + ALIKE[1]),
        (ALIKE[0] + b'{"id":', ALIKE[1].removeprefix(b'{"id":')),
        (ALIKE[0] + ALIKE[1][:9], ALIKE[1][9:]),
        (ALIKE[0] + ALIKE[1][:-1], b"}"),
        (ALIKE[0][:30] + b"}", b"{" + ALIKE[0][30:]),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_two_objects_in_two_lines_are_one_in_each_or_bad(pair: tuple[bytes, bytes], end: bytes) -> None:
    found = check(end.join([*ALIKE[:700], *pair, *ALIKE[:700]]))
    assert (found.items, found.bad, [one.line for one in found.listed]) == (1400, 2, [701, 702])
    first = check(end.join([*pair, *ALIKE[:7]]))
    assert (first.items, first.bad) == (7, 2)


def test_a_line_too_short_for_an_object_stands_for_none() -> None:
    assert Lines.of(b'{}\r\n{"a":1}').stand_alone()
    assert not Lines.of(b'\n{"a":1}{"b":2}').stand_alone()


@pytest.mark.skipif(fast.tools() is None, reason="msgspec is not installed: everything is judged by the reference")
def test_lines_of_one_shape_are_not_decoded_as_anything_where_there_is_no_automaton(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = fast.tools()
    assert found is not None
    as_anything: list[int] = []

    def decode_lines(text: bytes) -> fast.Objects:
        as_anything.append(len(text))
        return found.decode_lines(text)

    monkeypatch.setattr(fast, "tools", lambda: found._replace(decode_lines=decode_lines))
    monkeypatch.setattr(alike, "automaton", lambda _: None)
    assert check(b"\n".join(ALIKE * 2)).items == 6000
    # The first group, and that of which an automaton would have been made.
    assert len(as_anything) == 2


# The index


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=200), st.booleans(), st.integers(1, 5000))
def test_any_page_is_found_by_the_index(sizes: list[int], newline: bool, block: int) -> None:
    lines = [b'{"k":"' + b"x" * size + b'"}' for size in sizes]
    data = b"\n".join(lines) + (b"\n" if newline and lines else b"")
    writer, made = IndexWriter(), bytearray()
    one = Check(index=writer)
    for at in range(0, len(data), block):
        one.feed(data[at : at + block])
        made += writer.drain()
    one.finish()
    made += writer.finish(len(data))
    index = Index(lambda at, n: bytes(made[at : at + n]), len(made))
    assert (index.items, index.size) == (len(lines), len(data))
    assert index.verify([bytes(made)])
    for first, count in ((0, 1), (63, 3), (0, len(lines)), (len(lines) - 1, 5), (len(lines), 1)):
        spans = index.spans(first, count)
        assert take(lambda at, n: data[at : at + n], len(data), spans) == (
            lines[first : first + count] if first >= 0 else []
        )


# Counting keys


def count(*lines: bytes) -> tuple[int, int]:
    return fast.keys_kept([json.loads(line) for line in lines]), Lines.of(b"\n".join(lines)).keys_written()


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        (b'{"a":"x:y","b":"http://z"}', 2),
        (b'{"a" : 1, "b"\t:2,"c"\r:3}', 3),
        (b'{"a":{"b":{"c":[]}},"d":[{"e":1},{"e":2,"f":[[{"g":0}]]}]}', 8),
        (b'{"a":"\\": ","b\\\\":1}', 2),
    ],
)
def test_keys_are_counted_alike_on_both_sides(line: bytes, keys: int) -> None:
    assert count(line, line) == (2 * keys, 2 * keys)


def test_what_is_no_object_has_no_keys() -> None:
    assert count(b'{"a":{"b":1}}', b'{"a":"text"}', b'{"a":[1,2,3]}', b'{"a":null}', b"{}") == (5, 5)


def test_a_key_that_was_dropped_is_missed_whatever_else_is_in_the_group() -> None:
    rows = [b'{"id":%d,"box":{"x":1,"y":"a:b"},"url":"http://h/%d"}' % (n, n) for n in range(500)]
    for bad in (b'{"id":1,"box":{"x":1,"x" : 2},"url":":"}', b'{"id":1,"box":{},"url":0,"url" :"\\u0022:"}'):
        done = check(b"\n".join([*rows, bad, *rows]))
        assert [(one.line, one.fault.reason) for one in done.listed] == [(501, Reason.DUPLICATE_KEY)]


@pytest.mark.skipif(fast.tools() is None, reason="msgspec is not installed: everything is judged by the reference")
@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "url": "http://x:80/", "at": "10:00:00", "note": 'he said "a": b\n'},
        {"id": 1, "pos": {"x": 0.5, "z": None}, "tags": ["a:b"], "boxes": [{"n": 1}, {"n": 2}]},
    ],
)
def test_ordinary_lines_are_not_written_out_again(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(items: fast.Objects) -> bytes:
        raise AssertionError(items)

    found = fast.tools()
    assert found is not None
    monkeypatch.setattr(fast, "tools", lambda: found._replace(encode=encode))
    assert check(b"\n".join([json.dumps(row).encode()] * 2000)).items == 2000
