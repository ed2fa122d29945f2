"""Content-Disposition: every name comes out exactly for clients that can, and harmless for those that cannot."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.http.disposition import disposition

FORM = re.compile(r'attachment; filename="([^"\\]+)"(?:; filename\*=UTF-8\'\'([A-Za-z0-9!#$&+.^_`|~%-]+))?')


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reads.csv", 'attachment; filename="reads.csv"'),
        ("two words (1).csv", 'attachment; filename="two words (1).csv"'),
        ("a/b/reads.csv", 'attachment; filename="reads.csv"'),
        ("naïve.csv", "attachment; filename=\"naive.csv\"; filename*=UTF-8''na%C3%AFve.csv"),
        ("日本.csv", "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.csv"),
        ('a"b\\c%41.csv', "attachment; filename=\"a_b_c_41.csv\"; filename*=UTF-8''a%22b%5Cc%2541.csv"),
        ("x\r\nSet-Cookie: a", "attachment; filename=\"x__Set-Cookie: a\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a"),
        ("\uff0fetc\uff02", "attachment; filename=\"_etc_\"; filename*=UTF-8''%EF%BC%8Fetc%EF%BC%82"),
        ("..", "attachment; filename=\"download\"; filename*=UTF-8''.."),
        (" a ", "attachment; filename=\"a\"; filename*=UTF-8''%20a%20"),
    ],
)
def test_names(name: str, value: str) -> None:
    assert disposition("attachment", name) == value


def test_a_name_of_nothing_is_called_download() -> None:
    assert disposition("inline", "") == 'inline; filename="download"'


@given(st.text(min_size=1).filter(lambda name: "/" not in name))
def test_every_name_comes_out_exactly_and_is_safe_in_a_header(name: str) -> None:
    value = disposition("attachment", name)
    match = FORM.fullmatch(value)
    assert match is not None
    assert value.isascii()
    assert value.isprintable()
    assert (unquote(match[2]) if match[2] else match[1]) == name
    assert "/" not in match[1]
