"""The written forms of digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.digests import (
    EMPTY,
    Digests,
    crc32c_base64,
    parse_crc32c_base64,
    parse_sha256,
    parse_sha256_base64,
    sha256_base64,
    sha256_text,
)
from entrepot.model.errors import Invalid

HEX_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_nothing_has_the_well_known_digest() -> None:
    assert EMPTY.size == 0
    assert EMPTY.sha256_text == f"sha256:{HEX_OF_NOTHING}"
    assert EMPTY.crc32c_base64 == "AAAAAA=="


def test_repr_digest_form_is_the_one_of_rfc_9530() -> None:
    # The representation of appendix B.1 of RFC 9530: {"hello": "world"} and a line feed.
    digest = hashlib.sha256(b'{"hello": "world"}\n').digest()
    assert sha256_base64(digest) == "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="


def test_crc32c_form_has_the_most_significant_byte_first() -> None:
    # Check value of CRC-32C for the digits 1 to 9.
    assert crc32c_base64(0xE3069283) == "4waSgw=="
    assert parse_crc32c_base64("4waSgw==") == 0xE3069283


@given(st.binary(min_size=32, max_size=32))
def test_every_text_form_of_a_sha256_is_read_back(digest: bytes) -> None:
    assert parse_sha256(sha256_text(digest)) == digest
    assert parse_sha256(digest.hex(), bare=True) == digest
    assert parse_sha256(sha256_text(digest), bare=True) == digest
    assert parse_sha256_base64(sha256_base64(digest)) == digest


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_every_crc32c_is_read_back(value: int) -> None:
    assert parse_crc32c_base64(crc32c_base64(value)) == value


def test_upper_case_digits_name_the_same_digest() -> None:
    assert parse_sha256("sha256:" + HEX_OF_NOTHING.upper()) == EMPTY.sha256


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX_OF_NOTHING,
        f"sha256:{HEX_OF_NOTHING[:-1]}",
        f"sha256:{HEX_OF_NOTHING}0",
        f"sha256:{HEX_OF_NOTHING}\n",
        f"SHA256:{HEX_OF_NOTHING}",
        f"sha512:{HEX_OF_NOTHING}",
        f"sha256:{'g' * 64}",
        "sha256:" + "٣" * 64,
    ],
)
def test_anything_else_is_not_a_sha256(text: str) -> None:
    with pytest.raises(Invalid):
        parse_sha256(text)


@pytest.mark.parametrize("text", ["", "4waSgw", "4waSgw==\n", "4waSg-==", "4waSgwA=", "ü"])
def test_anything_else_is_not_a_crc32c(text: str) -> None:
    with pytest.raises(Invalid):
        parse_crc32c_base64(text)


def test_a_refused_digest_is_quoted_in_part_only() -> None:
    with pytest.raises(Invalid) as caught:
        parse_sha256("x" * 10_000)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"sha256": b""}, {"sha256": bytes(31)}, {"crc32c": -1}, {"crc32c": 1 << 32}, {"crc32": 1 << 32}],
)
def test_values_that_no_bytes_can_have_are_refused(change: dict[str, object]) -> None:
    values: dict[str, object] = {"size": 0, "sha256": bytes(32), "crc32c": 0, "crc32": 0}
    with pytest.raises(Invalid):
        Digests(**{**values, **change})  # type: ignore[arg-type]
