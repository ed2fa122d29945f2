"""Forms as streams: the part comes out byte for byte however the body is cut, and a damaged envelope is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Receive

from entrepot.http.body import ClientGone, pump, read_all
from entrepot.http.multipart import MultipartReader, Part, is_multipart, unwrap_file
from entrepot.model.errors import Malformed, Unsupported
from tests.support.asgi import Client, messages, pieces, run, sends

BOUNDARY = "2d1f4b"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FILE = 'form-data; name="file"; filename="reads.csv"'


def part(content: bytes, disposition: str = FILE, *more: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: {disposition}", *more])
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def form(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    return b"".join(parts) + end


async def unwrapped(receive: Receive, content_type: str = TYPE) -> tuple[Part, bytes]:
    found = await unwrap_file(receive, content_type)
    blocks: list[bytes] = []
    await pump(found.receive, blocks.append, block_size=8)
    return found, b"".join(blocks)


# Content made of the delimiter's own letters, so that beginnings of it are everywhere.
near_misses = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"\r\n--2d1f4", b"2d", b"x"])
).map(b"".join)


@given(near_misses | st.binary(max_size=100), st.lists(st.integers(0, 300), max_size=40))
@example(b"", [])
@example(b"", list(range(300)))
@example(b"\r\n--2d1f4", list(range(300)))
@example(b"\r\n\r\n--2d1f4\r", [150, 151, 152])
def test_the_file_comes_out_byte_for_byte(content: bytes, cuts: list[int]) -> None:
    body = form(part(content, FILE, "Content-Type: text/csv"))
    found, read = run(unwrapped(sends(*pieces(body, cuts))))
    assert read == content
    assert (found.name, found.filename, found.media_type) == ("file", "reads.csv", "text/csv")


@given(st.lists(near_misses, min_size=1, max_size=5), st.lists(st.integers(0, 700), max_size=40), st.booleans())
def test_parts_come_out_in_order_whether_they_are_read_or_not(contents, cuts, skip: bool) -> None:
    async def read(receive: Receive) -> list[tuple[str, bytes]]:
        reader = MultipartReader(receive, TYPE)
        found = []
        while (one := await reader.next()) is not None:
            found.append((one.name, b"" if skip else await read_all(one.receive, 10_000)))
        assert await reader.next() is None
        return found

    body = form(*(part(content, f'form-data; name="f{at}"') for at, content in enumerate(contents)))
    expected = [(f"f{at}", b"" if skip else content) for at, content in enumerate(contents)]
    assert run(read(sends(*pieces(body, cuts)))) == expected


@given(st.binary(max_size=50), st.data())
def test_a_form_that_was_cut_short_is_never_taken_for_whole(content: bytes, data: st.DataObject) -> None:
    body = form(part(content))
    end = data.draw(st.integers(0, len(body) - 3))  # the last line break is not needed
    with pytest.raises(Malformed):
        run(unwrapped(sends(body[:end])))


def test_large_messages_pass_through_uncopied() -> None:
    content = b"x" * 100_000

    async def first_block() -> bytes:
        found = await unwrap_file(sends(form(part(b""))[: -len(BOUNDARY) - 8], content), TYPE)
        blocks = [(await found.receive())["body"]]
        while len(blocks[-1]) < 1000:
            blocks.append((await found.receive())["body"])
        return blocks[-1]

    assert run(first_block()) is content


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (TYPE, form(part(b"1,2"))),
        (TYPE, b"preamble\r\n" + form(part(b"1,2"))),
        (TYPE, form(part(b"1,2"), end=f"--{BOUNDARY}--".encode())),
        (TYPE, form(part(b"1,2")) + b"epilogue"),
        (TYPE, form(part(b"1,2").replace(b"\r\n", b" \t\r\n", 1))),
        (TYPE, form(part(b"no", 'form-data; name="a"'), part(b"1,2"), part(b"no", 'form-data; name="b"'))),
        (TYPE, form(part(b"1,2", "FORM-DATA;NAME=file;FileName=reads.csv"))),
        (TYPE, form(part(b"1,2", FILE, "Content-Transfer-Encoding: binary", "X-Other: 1"))),
        (f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"', form(part(b"1,2"))),
    ],
    ids=["plain", "preamble", "no last break", "epilogue", "padding", "fields", "case", "other fields", "quoted type"],
)
def test_forms_as_clients_write_them(content_type: str, body: bytes) -> None:
    found, content = run(unwrapped(sends(body), content_type))
    assert content == b"1,2"
    assert (found.name, found.filename) == ("file", "reads.csv")


def test_a_boundary_with_every_allowed_character() -> None:
    boundary = "a'()+_,-./:=? b"
    body = form(part(b"1,2")).replace(BOUNDARY.encode(), boundary.encode())
    assert run(unwrapped(sends(body), f'multipart/form-data; boundary="{boundary}"'))[1] == b"1,2"


@pytest.mark.parametrize(
    ("parameter", "filename"),
    [
        ('filename="naïve 日本.csv"', "naïve 日本.csv"),
        ("filename*=UTF-8''" + quote("naïve 日本.csv"), "naïve 日本.csv"),
        ("filename=\"plain.csv\"; filename*=utf-8'en'na%C3%AFve.csv", "naïve.csv"),
        ("filename=\"plain.csv\"; filename*=ebcdic''x", "plain.csv"),
        ("filename=\"plain.csv\"; filename*=utf-8''%FF", "plain.csv"),
        ('filename="a;b=c.csv"', "a;b=c.csv"),
        (r'filename="a\"b.csv"', 'a"b.csv'),
        (r'filename="C:\data\new.csv"', r"C:\data\new.csv"),
        ('filename="a%22b.csv"', "a%22b.csv"),
        ('filename=""', ""),
        ('filename="../../x"', "../../x"),
    ],
)
def test_names_as_clients_write_them(parameter: str, filename: str) -> None:
    found, _ = run(unwrapped(sends(form(part(b"", f'form-data; name="file"; {parameter}')))))
    assert found.filename == filename


def test_a_name_that_is_not_utf_8_is_read_as_latin_1() -> None:
    body = form(part(b"")).replace(b"reads", b"na\xefve")
    assert run(unwrapped(sends(body)))[0].filename == "naïve.csv"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "closing boundary"),
        (b"just bytes", "closing boundary"),
        (b"x" * 20_000, "does not begin with the boundary"),
        (form(), "no file"),
        (form(part(b"", 'form-data; name="a"')), "no file"),
        (form(part(b"a"), part(b"b")), "more than one file"),
        (form(part(b"a", 'form-data; filename="x"')), "has no name"),
        (form(part(b"a", 'attachment; name="x"; filename="x"')), "has no name"),
        (form(part(b"a").replace(b": ", b" : ")), "no field"),
        (form(part(b"a", FILE, "no colon")), "no field"),
        (form(part(b"a").replace(b"\r\n", b"\n")), "closing boundary|no end"),
        (form(part(b"a").replace(b"--2d1f4b", b"--2d1f4bX")), "something behind"),
        (form(part(b"a", FILE, "X: " + "x" * 20_000)), "longer than 16384"),
        (form(part(b"a")) + b"x" * 20_000, "goes on behind"),
        (form(part(b"x" * 70_000, 'form-data; name="a"'), part(b"a")), "longer than 65536"),
        (form(*[part(b"", 'form-data; name="a"')] * 101), "more than 100 parts"),
    ],
)
def test_damaged_forms_are_refused(body: bytes, says: str) -> None:
    for cuts in ([], range(0, len(body), 7)):
        with pytest.raises(Malformed, match=says):
            run(unwrapped(sends(*pieces(body, cuts))))


@pytest.mark.parametrize("encoding", ["base64", "Quoted-Printable"])
def test_parts_encoded_for_mail_are_refused(encoding: str) -> None:
    with pytest.raises(Unsupported, match="encoded for mail"):
        run(unwrapped(sends(form(part(b"a", FILE, f"Content-Transfer-Encoding: {encoding}")))))


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="a "',
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data; boundary=é",
        'multipart/form-data; boundary="a\r\nb"',
    ],
)
def test_a_type_without_a_usable_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed, match="boundary"):
        MultipartReader(sends(), content_type)


def test_a_client_that_leaves_in_the_middle_of_the_file_leaves_what_it_sent() -> None:
    async def upload() -> tuple[bytes, int]:
        body = form(part(b"0123456789"))
        found = await unwrap_file(Client(messages(body[:-20], cut=True)).receive, TYPE)
        blocks: list[bytes] = []
        with pytest.raises(ClientGone) as caught:
            await pump(found.receive, blocks.append)
        return b"".join(blocks), caught.value.received

    written, received = run(upload())
    assert b"0123456789".startswith(written)
    assert len(written) == received > 0


def test_a_file_whose_form_lacks_its_end_is_written_but_not_whole() -> None:
    async def upload() -> None:
        body = form(part(b"0123456789"))
        found = await unwrap_file(Client(messages(body[:-5], cut=True)).receive, TYPE)
        blocks: list[bytes] = []
        with pytest.raises(ClientGone) as caught:
            await pump(found.receive, blocks.append)
        assert (b"".join(blocks), caught.value.received) == (b"0123456789", 10)

    run(upload())


def test_a_client_that_leaves_before_the_file_is_gone() -> None:
    for end in (0, 10, 30):
        with pytest.raises(ClientGone):
            run(unwrapped(sends(form(part(b"x"))[:end], cut=True)))


def test_a_part_cannot_be_read_after_the_next_one_was_asked_for() -> None:
    async def read() -> None:
        reader = MultipartReader(sends(form(part(b"a"), part(b"b"))), TYPE)
        first = await reader.next()
        await reader.next()
        assert first is not None
        with pytest.raises(RuntimeError):
            await first.receive()

    run(read())


def test_which_types_are_forms() -> None:
    assert is_multipart(TYPE)
    assert is_multipart(" Multipart/Form-Data ; boundary=x")
    for other in (None, "", "application/octet-stream", "multipart/mixed; boundary=x", "multipart/form-dataX"):
        assert not is_multipart(other)
