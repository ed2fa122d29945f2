"""The fourteen licences that every installation starts with, as data.

The names are those that UFDL's clients look for. The words under permissions, conditions and limitations sum up what
a licence says, for lists and filters; they are no legal advice and the text behind the URL is what counts. An
operator may add licences and words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class StandardLicence:
    """A licence before it has a row. `spdx` is its identifier in the SPDX list, None where it has none."""

    name: str
    spdx: str | None
    url: str
    permissions: tuple[str, ...]
    conditions: tuple[str, ...]
    limitations: tuple[str, ...]


_COMMERCIAL: Final = "commercial use"
_PRIVATE: Final = "private use"
_DISTRIBUTE: Final = "distribution"
_MODIFY: Final = "modification"
_PATENTS: Final = "use of patents"

_NOTICE: Final = "keep licence and copyright notice"
_CREDIT: Final = "name the authors"
_CHANGES: Final = "say what was changed"
_SOURCE: Final = "offer the source"
_NETWORK: Final = "offer the source to users over a network"
_SAME: Final = "same licence for derived works"
_SAME_LIBRARY: Final = "same licence for the library"
_SAME_FILES: Final = "same licence for changed files"
_ASK: Final = "permission of the owner"

_NO_LIABILITY: Final = "no liability"
_NO_WARRANTY: Final = "no warranty"
_NO_TRADEMARKS: Final = "no right to trademarks"
_NO_PATENTS: Final = "no right to patents"
_NO_ENDORSEMENT: Final = "no advertising with the authors' names"

_USES = (_COMMERCIAL, _PRIVATE, _DISTRIBUTE, _MODIFY)
_USES_AND_PATENTS = (*_USES, _PATENTS)
_AS_IT_IS = (_NO_LIABILITY, _NO_WARRANTY)
_COPYLEFT = (_NOTICE, _CHANGES, _SOURCE, _SAME)

#: What a project has until somebody chooses: without a licence nobody else has any right.
DEFAULT_LICENCE: Final = "Proprietary"

#: In the order in which lists show them.
STANDARD_LICENCES: Final = (
    StandardLicence(
        name="AGPL3",
        spdx="AGPL-3.0-only",
        url="https://www.gnu.org/licenses/agpl-3.0.html",
        permissions=_USES_AND_PATENTS,
        conditions=(*_COPYLEFT, _NETWORK),
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="Apache 2.0",
        spdx="Apache-2.0",
        url="https://www.apache.org/licenses/LICENSE-2.0",
        permissions=_USES_AND_PATENTS,
        conditions=(_NOTICE, _CHANGES),
        limitations=(*_AS_IT_IS, _NO_TRADEMARKS),
    ),
    StandardLicence(
        name="BSD 2-clause",
        spdx="BSD-2-Clause",
        url="https://opensource.org/license/bsd-2-clause",
        permissions=_USES,
        conditions=(_NOTICE,),
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="BSD 3-clause",
        spdx="BSD-3-Clause",
        url="https://opensource.org/license/bsd-3-clause",
        permissions=_USES,
        conditions=(_NOTICE,),
        limitations=(*_AS_IT_IS, _NO_ENDORSEMENT),
    ),
    StandardLicence(
        name="CC0",
        spdx="CC0-1.0",
        url="https://creativecommons.org/publicdomain/zero/1.0/",
        permissions=_USES,
        conditions=(),
        limitations=(*_AS_IT_IS, _NO_TRADEMARKS, _NO_PATENTS),
    ),
    StandardLicence(
        name="CC-BY-4.0",
        spdx="CC-BY-4.0",
        url="https://creativecommons.org/licenses/by/4.0/",
        permissions=_USES,
        conditions=(_CREDIT, _NOTICE, _CHANGES),
        limitations=(*_AS_IT_IS, _NO_TRADEMARKS, _NO_PATENTS),
    ),
    StandardLicence(
        name="CC-BY-SA-4.0",
        spdx="CC-BY-SA-4.0",
        url="https://creativecommons.org/licenses/by-sa/4.0/",
        permissions=_USES,
        conditions=(_CREDIT, _NOTICE, _CHANGES, _SAME),
        limitations=(*_AS_IT_IS, _NO_TRADEMARKS, _NO_PATENTS),
    ),
    StandardLicence(
        name="GPL2",
        spdx="GPL-2.0-only",
        url="https://www.gnu.org/licenses/old-licenses/gpl-2.0.html",
        permissions=_USES,
        conditions=_COPYLEFT,
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="GPL3",
        spdx="GPL-3.0-only",
        url="https://www.gnu.org/licenses/gpl-3.0.html",
        permissions=_USES_AND_PATENTS,
        conditions=_COPYLEFT,
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="LGPL3",
        spdx="LGPL-3.0-only",
        url="https://www.gnu.org/licenses/lgpl-3.0.html",
        permissions=_USES_AND_PATENTS,
        conditions=(_NOTICE, _CHANGES, _SOURCE, _SAME_LIBRARY),
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="MIT",
        spdx="MIT",
        url="https://opensource.org/license/mit",
        permissions=_USES,
        conditions=(_NOTICE,),
        limitations=_AS_IT_IS,
    ),
    StandardLicence(
        name="MPL 2.0",
        spdx="MPL-2.0",
        url="https://www.mozilla.org/MPL/2.0/",
        permissions=_USES_AND_PATENTS,
        conditions=(_NOTICE, _SOURCE, _SAME_FILES),
        limitations=(*_AS_IT_IS, _NO_TRADEMARKS),
    ),
    StandardLicence(
        name="Unlicense",
        spdx="Unlicense",
        url="https://unlicense.org/",
        permissions=_USES,
        conditions=(),
        limitations=_AS_IT_IS,
    ),
    # No text stands behind it: all rights stay with the owner.
    StandardLicence(
        name=DEFAULT_LICENCE,
        spdx=None,
        url="",
        permissions=(),
        conditions=(_ASK,),
        limitations=(),
    ),
)
