"""What this door reads from header fields and queries, strictly."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.dialects.native.digest_fields import announced_sha256
from entrepot.dialects.native.query import Parameters
from entrepot.dialects.native.tus_fields import (
    parse_checksum,
    parse_concat,
    parse_metadata,
    parse_number,
    text_of,
)
from entrepot.model.errors import Invalid, Malformed, Unsupported
from tests.support.asgi import request

DIGEST = hashlib.sha256(b"x").digest()
WRITTEN = f"sha-256=:{base64.b64encode(DIGEST).decode()}:"


# Upload-Metadata


@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1), st.binary()
    )
)
def test_metadata_is_read_as_it_was_written(pairs: dict[str, bytes]) -> None:
    written = ", ".join(f"{key} {base64.b64encode(value).decode()}".strip() for key, value in pairs.items())
    assert parse_metadata(written) == pairs


@pytest.mark.parametrize("text", ["a b c", "a !", "a YQ", ",", "a YQ==,", "a,a", "ü YQ==", "x" * 20_000])
def test_metadata_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_metadata(text)


def test_a_key_without_a_value_is_empty_and_empty_counts_as_not_given() -> None:
    found = parse_metadata("is_confidential,filename ")
    assert found == {"is_confidential": b"", "filename": b""}
    assert text_of(found, "filename") is None
    with pytest.raises(Malformed):
        text_of({"filename": b"\xff"}, "filename")
    assert parse_metadata(None) == parse_metadata(" ") == {}


# Numbers, checksums, parts


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", "0x1", "٣", "1 2", "9" * 19])
def test_a_number_is_digits(text: str) -> None:
    with pytest.raises(Malformed):
        parse_number("Upload-Offset", text)
    assert parse_number("Upload-Offset", " 12 ") == 12
    assert parse_number("Upload-Offset", None) is None


def test_checksums_are_of_known_algorithms_and_their_length() -> None:
    assert parse_checksum(f"sha256 {base64.b64encode(DIGEST).decode()}") == ("sha256", DIGEST)
    assert parse_checksum("crc32c AAAAAA==") == ("crc32c", b"\0\0\0\0")
    assert parse_checksum(None) is None
    for wrong in ("sha256 AAAA", "SHA256 " + base64.b64encode(DIGEST).decode(), "sha1", "md5 AAAA", "sha1 *"):
        with pytest.raises(Malformed):
            parse_checksum(wrong)


def test_parts_are_named_by_address_or_path() -> None:
    assert parse_concat(None) is None
    part = parse_concat("partial")
    assert part is not None
    assert part.parts is None
    whole = parse_concat("final;/api/v1/uploads/up_1  https://host:1/api/v1/uploads/up_2?x#y")
    assert whole is not None
    assert whole.parts == ("up_1", "up_2")
    for wrong in ("", "final", "final;", "final; ", "Partial", "final;/other/up_1", "final;up_1", "half;a"):
        with pytest.raises(Malformed):
            parse_concat(wrong)


# Repr-Digest


@pytest.mark.parametrize(
    "text", [WRITTEN, f"sha-512=:AAAA:, {WRITTEN}", f"{WRITTEN}, md5=:AAAA:", f"  {WRITTEN};q=1 ", f"{WRITTEN},"]
)
def test_a_digest_is_found_among_others(text: str) -> None:
    assert announced_sha256(request("PUT", repr_digest=text)) == DIGEST
    assert announced_sha256(request("PUT", content_digest=text)) == DIGEST


def test_none_is_none_and_others_are_ignored() -> None:
    assert announced_sha256(request("PUT")) is None
    assert announced_sha256(request("PUT", repr_digest="sha-512=:AAAA:")) is None


@pytest.mark.parametrize("text", ["x", "sha-256=abc", "sha-256=:AAAA:", "sha-256=::", f"{WRITTEN} {WRITTEN}"])
def test_a_digest_that_cannot_be_read_is_refused_and_not_ignored(text: str) -> None:
    with pytest.raises(Malformed):
        announced_sha256(request("PUT", repr_digest=text))


def test_two_digests_must_agree_and_bytes_come_as_they_are() -> None:
    other = f"sha-256=:{base64.b64encode(hashlib.sha256(b'y').digest()).decode()}:"
    with pytest.raises(Malformed):
        announced_sha256(request("PUT", repr_digest=WRITTEN, content_digest=other))
    with pytest.raises(Unsupported):
        announced_sha256(request("PUT", content_encoding="gzip"))


# Queries


def test_parameters_are_read() -> None:
    found = Parameters(request("GET", query=b"a=%C3%BC&b=&revision=12&recursive=true&a=x"))
    assert (found.text("a"), found.text("b"), found.text("c")) == ("x", "", None)
    assert (found.revision("revision"), found.revision("expected")) == (12, None)
    assert (found.flag("recursive"), found.flag("other")) == (True, False)


@pytest.mark.parametrize("query", [b"revision=-1", b"revision=x", b"revision=", b"revision=99999999999"])
def test_a_revision_is_a_number(query: bytes) -> None:
    with pytest.raises(Invalid):
        Parameters(request("GET", query=query)).revision("revision")


def test_a_query_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(Malformed):
        Parameters(request("GET", query=b"a=%FF"))
    with pytest.raises(Malformed):
        Parameters(request("GET", query=b"a=\xff"))
