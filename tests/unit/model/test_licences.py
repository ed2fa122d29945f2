"""The licences that every installation starts with."""

from __future__ import annotations

import pytest

from entrepot.model import names
from entrepot.model.licences import DEFAULT_LICENCE, STANDARD_LICENCES, StandardLicence

BY_NAME = {licence.name: licence for licence in STANDARD_LICENCES}


def test_the_fourteen_names_that_clients_look_for() -> None:
    assert [licence.name for licence in STANDARD_LICENCES] == [
        "AGPL3",
        "Apache 2.0",
        "BSD 2-clause",
        "BSD 3-clause",
        "CC0",
        "CC-BY-4.0",
        "CC-BY-SA-4.0",
        "GPL2",
        "GPL3",
        "LGPL3",
        "MIT",
        "MPL 2.0",
        "Unlicense",
        "Proprietary",
    ]
    assert DEFAULT_LICENCE in BY_NAME


@pytest.mark.parametrize("licence", STANDARD_LICENCES, ids=lambda licence: licence.name)
def test_each_has_words_that_pass_the_gate_and_one_place_to_read_it(licence: StandardLicence) -> None:
    for words in (licence.permissions, licence.conditions, licence.limitations):
        assert names.tags(words) == words
    assert (licence.url.startswith("https://") and licence.spdx is not None) or licence.name == DEFAULT_LICENCE


def test_no_two_share_an_address_or_an_identifier() -> None:
    assert len({licence.url for licence in STANDARD_LICENCES}) == 14
    assert len({licence.spdx for licence in STANDARD_LICENCES}) == 14


def test_what_tells_them_apart() -> None:
    """The words are for choosing by, so the differences that people choose by must show."""

    def with_word(word: str) -> set[str]:
        return {
            licence.name
            for licence in STANDARD_LICENCES
            if any(word in text for text in licence.permissions + licence.conditions + licence.limitations)
        }

    assert with_word("same licence for derived works") == {"AGPL3", "CC-BY-SA-4.0", "GPL2", "GPL3"}
    assert with_word("over a network") == {"AGPL3"}
    assert with_word("offer the source") == {"AGPL3", "GPL2", "GPL3", "LGPL3", "MPL 2.0"}
    assert with_word("use of patents") == {"AGPL3", "Apache 2.0", "GPL3", "LGPL3", "MPL 2.0"}
    assert set(BY_NAME) - with_word("commercial use") == {"Proprietary"}
    assert {name for name, licence in BY_NAME.items() if not licence.conditions} == {"CC0", "Unlicense"}
