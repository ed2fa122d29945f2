"""READMEs and descriptions as HTML that can do nothing.

Raw HTML in a text stays text. Links lead to other sites, to addresses of mail, or to places in the same page; pictures
are shown as links, because a page of ours loads nothing from anywhere else. Headings begin two levels down: those of
the page come first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

__all__ = ["render"]

#: A text beyond this is shown as it is: what takes long to read is no introduction.
_LONGEST: Final = 256 << 10
_SAFE: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_DOWN: Final = 2


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    # Whatever is refused here stays text.
    parser.validateLink = _is_safe  # type: ignore[method-assign, assignment]
    parser.add_render_rule("image", _image)
    parser.core.ruler.push("ours", _ours)
    return parser


def render(text: str) -> Markup:
    """HTML made from Markdown; of a text that is too long, the text."""
    if len(text) > _LONGEST:
        return Markup("<pre>{}</pre>").format(text)
    # What the parser writes is escaped by it, and it knows no raw HTML.
    return Markup(_parser().render(text))  # noqa: S704


def _is_safe(address: str) -> bool:
    return _SAFE.match(address) is not None or address.startswith("#")


def _image(self: Any, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    token = tokens[at]
    address = str(token.attrGet("src") or "")
    said = self.renderInlineAsText(token.children, options, env) or address
    return str(Markup('<a class="picture" href="{}" rel="nofollow noopener noreferrer">{}</a>').format(address, said))


def _ours(state: Any) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _DOWN)}"
        elif token.type in ("td_open", "th_open"):
            # Alignment comes as a style, which the policy of the page ignores.
            align = str(token.attrs.pop("style", "")).rpartition(":")[2]
            if align in ("left", "center", "right"):
                token.attrSet("class", f"align-{align}")
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noopener noreferrer")
