"""The one gate for strings from outside: names, slugs, aliases, paths, tags, media types and free text.

Every function takes what a caller sent and returns the form that is stored and compared, or raises `InvalidName`
saying which rule the value breaks and how to mend it. The form is stable: what came out goes in again unchanged.
Nothing behind the gate looks at names again, and nothing is cut or refused on the way out.

Rules that hold for all of them but `text`, and why:

- Unicode form NFC: "é" typed on one system and on another is one name, not two that look alike.
- No lone surrogates: they are not text, UTF-8 cannot carry them and databases refuse them.
- No control characters, line or paragraph separators: they break terminals, logs, headers and line-based lists.
- No characters that reverse the reading direction (U+202A to U+202E, U+2066 to U+2069): they make a name read as
  another one ("exe.txt" for "txt.exe"). Joiners and direction marks stay: several scripts and emoji need them.
- A bound on the length, looked at before any other work, so that a huge value costs nothing.
- White space at both ends goes, because nobody sees it. Only names of files keep it: a tree must come back as it was.

Names of Windows are judged in `windows_names.py`, where they matter: on the machine that pulls.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from entrepot.model.errors import InvalidName

__all__ = [
    "alias",
    "collection_path",
    "dataset_name",
    "derive_slug",
    "entry_path",
    "file_name",
    "folded",
    "label",
    "media_type",
    "member_path",
    "next_slug",
    "project_name",
    "slug",
    "storable",
    "tag",
    "tags",
    "team_name",
    "text",
    "user_name",
]

MAX_NAME = 255
MAX_SLUG = 96
MAX_ALIAS = 64
MAX_TAG = 100
#: Not a rule of any door: it keeps one version's tags to a size that every list can carry.
MAX_TAGS = 1000
MAX_USER_NAME = 150
MAX_PATH_BYTES = 1024
#: What the usual file systems can store as one name.
MAX_SEGMENT_BYTES = 255
MAX_MEDIA_TYPE = 255

# NFC never makes a text shorter than a quarter (U+1F82 and its like come from four characters), so anything longer
# than this is too long whatever its form; and canonical ordering is quadratic in the length of a run of marks.
_COMPOSES = 4

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SLUG = re.compile(r"[a-z0-9._-]{1,96}")
_ALIAS = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NOT_SLUG = re.compile(r"[^a-z0-9._]+")
_USER_NAME = re.compile(r"[\w.@+-]+")
_USER_ID = re.compile(r"user_[0-9a-f]{32}")
_HERE = re.compile(r"\A(?:\./)+")
_DRIVE = re.compile(r"[A-Za-z]:/")
# Printable ASCII without the backslash, in names that are neither empty nor `.` nor `..`: what most paths are made of.
_USUAL_NAME = r"(?!\.\.?(?:/|\Z))[ -.0-\[\]-~]+"
_USUAL_PATH = re.compile(rf"{_USUAL_NAME}(?:/{_USUAL_NAME})*")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105  RFC 9110's word for it, not a secret
_MEDIA_TYPE = re.compile(rf"({_TOKEN}/{_TOKEN})((?:[ \t]*;.*)?)")
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:[ !#-\[\]-~]|\\[ -~])*"))?')

# Letters that have no decomposition to a letter of a slug, in the spelling their readers use without them.
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ħ": "h", "ı": "i"})


# --- names of things -------------------------------------------------------------------------------------------------


def dataset_name(value: str) -> str:
    """1 to 255 characters of any script. Spaces, slashes and `@` are fine: names are shown, never parsed."""
    return _name("Dataset name", value, MAX_NAME)


def project_name(value: str) -> str:
    """As a dataset's name."""
    return _name("Project name", value, MAX_NAME)


def team_name(value: str) -> str:
    """1 to 255 characters of any script, not starting with `~`: that marks the hidden team behind each person."""
    name = _name("Team name", value, MAX_NAME)
    if name.startswith("~"):
        raise _refusal("Team name", value, "starts with '~', which marks personal teams", "Choose another first letter")
    return name


def user_name(value: str) -> str:
    """1 to 150 letters, digits and `_ . @ + -`; the set Django has made usual for user names.

    The form is NFKC rather than NFC, as there: full-width and other compatibility letters would let somebody sign up
    under a name that reads as another's. Not `.` or `..`, which clients fold away in URLs; not the form of a user's
    id, because commands take either.
    """
    what = "User name"
    name = _clean(what, value, MAX_USER_NAME, form="NFKC")
    if not _USER_NAME.fullmatch(name):
        raise _refusal(what, value, "has a character that user names may not have", "Use letters, digits and _ . @ + -")
    if name in (".", "..") or _USER_ID.fullmatch(name):
        raise _refusal(what, value, "would be read as something else in an address", "Choose another name")
    return name


def label(value: str, max_length: int, field: str, *, may_be_empty: bool = False) -> str:
    """One line that names something nobody looks up by pattern: nodes, tokens, licences, people's names.

    Args:
        max_length: The bound in characters.
        field: What it is called in the message, such as "Node name".
    """
    if may_be_empty and isinstance(value, str) and not value.strip():
        return ""
    return _name(field, value, max_length)


def tag(value: str) -> str:
    """1 to 100 characters without a comma: some doors write all tags as one text with commas between."""
    name = _name("Tag", value, MAX_TAG)
    if "," in name:
        raise _refusal("Tag", value, "has a comma", "Send it as two tags")
    return name


def tags(values: Iterable[str]) -> tuple[str, ...]:
    """Each value as a tag; empty ones and repeats are dropped, the order of first appearance stays."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise _refusal("Tags", values, "are one value, not a list", "Send a list of texts")
    found: dict[str, None] = {}
    for value in values:
        if isinstance(value, str) and not value.strip():
            continue
        found[tag(value)] = None
        if len(found) > MAX_TAGS:
            raise _refusal("Tags", value, f"come after {MAX_TAGS:,} others", f"Send at most {MAX_TAGS:,}")
    return tuple(found)


# --- slugs and aliases -----------------------------------------------------------------------------------------------


def slug(value: str) -> str:
    """Check a slug: 1 to 96 of `[a-z0-9._-]`, no `--` or `..`, no `-` or `.` at an end, not ending in `.git`.

    These are the names that URLs, file systems, host names' owners and the Hub's clients all take as they are; lower
    case because some of those do not tell the cases apart.
    """
    what = "Slug"
    name = _clean(what, value, MAX_SLUG)
    if not _is_slug(name):
        proposal = derive_slug(name)
        raise _refusal(
            what,
            value,
            "is not 1 to 96 of a-z 0-9 . _ - without '--', '..', a '-' or '.' at an end, or '.git' as its end",
            f"Use {proposal!r}, for example",
        )
    return name


def derive_slug(name: str, fallback: str = "dataset") -> str:
    """The slug a new thing of this name asks for; `fallback` where no letter of the name can stay. Never refuses.

    Accents go, letters are spelled out where that is usual, everything else becomes one `-`.
    """
    bounded = str(name)[: MAX_NAME * _COMPOSES]
    spelled = unicodedata.normalize("NFKD", bounded.casefold().translate(_SPELLED)).casefold()
    plain = "".join(c for c in spelled if not unicodedata.combining(c)).translate(_SPELLED)
    return _tidy(plain) or slug(fallback)


def next_slug(base: str, taken: Callable[[str], bool]) -> str:
    """`base`, or the first free of `base-2`, `base-3`, …

    Past `-9` the search leaps and then halves, so a name used a million times costs some forty questions. Where
    numbers are free in between, it may give a higher one than the lowest; it never gives one that is taken.
    """
    base = slug(base)
    if not taken(base):
        return base
    for number in range(2, 10):
        if not taken(_numbered(base, number)):
            return _numbered(base, number)
    last_taken, first_free = 9, 18
    while taken(_numbered(base, first_free)):
        last_taken, first_free = first_free, first_free * 2
        if first_free >= 2**63:
            raise _refusal("Slug", base, "is taken with every number after it", "Choose another slug")
    while first_free - last_taken > 1:
        middle = (last_taken + first_free) // 2
        if taken(_numbered(base, middle)):
            last_taken = middle
        else:
            first_free = middle
    return _numbered(base, first_free)


def alias(value: str) -> str:
    """1 to 64 of `[A-Za-z0-9._-]`; not `.` or `..`, which clients fold away in URLs."""
    what = "Alias"
    name = _clean(what, value, MAX_ALIAS)
    if not _ALIAS.fullmatch(name) or name in (".", ".."):
        raise _refusal(
            what, value, "is not 1 to 64 of A-Z a-z 0-9 . _ -", f"Use {derive_slug(name)[:64]!r}, for example"
        )
    return name


# --- paths -----------------------------------------------------------------------------------------------------------


def entry_path(value: str) -> str:
    """The place of a file in a version: names of 1 to 255 bytes with `/` between, 1,024 bytes in all, as UTF-8.

    No name is `.` or `..`, and none is empty, so that a path means the same place in every client and stays below the
    folder it is pulled to. No backslash, which is a slash on Windows. Case counts, and spaces at the ends stay: two
    files that differ only there are two files.
    """
    # Commits and folders bring these by the ten thousand, and nothing of the rules can be broken here: one look is all.
    if type(value) is str and len(value) <= MAX_SEGMENT_BYTES and _USUAL_PATH.fullmatch(value):
        return value
    return _path("Entry path", value)


def file_name(value: str) -> str:
    """One name of an entry path: for doors that know no folders."""
    name = _path("File name", value)
    if "/" in name:
        raise _refusal("File name", value, "has a slash", "Give the file's name without folders")
    return name


def member_path(value: str) -> str:
    """The entry path that an archive's member asks for.

    A backslash counts as a slash: some Windows programs write it into zip files. A leading `./`, as tar writes it,
    and the slash at the end of a folder's name are dropped. The folder `./` itself has no path and is refused, so
    a caller skips it first. A drive (`C:/`) is refused like any absolute path.
    """
    what = "Archive member"
    _check_text(what, value)
    name = value.replace("\\", "/")
    if _DRIVE.match(name):
        raise _refusal(what, value, "starts with a drive", "Pack the files with relative names")
    return _path(what, _HERE.sub("", name).removesuffix("/"))


def collection_path(value: str) -> str:
    """The place of a collection in its project: names with `/` between, `""` for the root.

    The rules of an entry path; white space around each name and a slash at either end are dropped, since people type
    these paths.
    """
    what = "Collection path"
    cleaned = _clean(what, value, MAX_PATH_BYTES, may_be_empty=True).strip("/")
    if not cleaned:
        return ""
    return _path(what, "/".join(name.strip() for name in cleaned.split("/")))


def folded(path: str) -> str:
    """What two paths share when a file system that ignores case takes them for one: to report such clashes."""
    return unicodedata.normalize("NFC", path.casefold())


# --- other texts -----------------------------------------------------------------------------------------------------


def text(value: str, max_length: int, field: str) -> str:
    """Free text, as it was sent: descriptions, metadata texts, messages. Line breaks are fine.

    No NUL and no lone surrogates, which databases cannot store. Neither trimmed nor normalised: it may be somebody's
    JSON, and must come back as it went in.

    Args:
        max_length: The bound in characters.
        field: What the text is called in the message, such as "Description".
    """
    _check_text(field, value)
    _check_length(field, value, max_length, max_length)
    if "\x00" in value:
        raise _refusal(field, value, "has a NUL character", "Remove it")
    return value


def storable(value: str) -> bool:
    """Whether a database can compare with this text at all: for keys that are looked up rather than stored.

    What it cannot hold is nothing's name, so the answer to a look-up is that there is no such thing.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value


def media_type(value: str) -> str:
    """`type/subtype` with parameters, as RFC 9110 writes it: type, subtype and parameter names in lower case.

    Anything else could end up as a second header of a download.
    """
    what = "Media type"
    cleaned = _clean(what, value, MAX_MEDIA_TYPE)
    match = _MEDIA_TYPE.fullmatch(cleaned)
    if match is None:
        raise _refusal(what, value, "is not type/subtype", "Use one such as text/csv or application/octet-stream")
    parts, rest, position = [match[1].lower()], match[2], 0
    while position < len(rest):
        parameter = _PARAMETER.match(rest, position)
        if parameter is None:
            raise _refusal(
                what, value, "has a parameter that is not name=value", "Write it as in text/csv; header=absent"
            )
        if parameter[1] is not None:
            parts.append(f"{parameter[1].lower()}={parameter[2]}")
        position = parameter.end()
    normal = "; ".join(parts)
    _check_length(what, normal, MAX_MEDIA_TYPE, MAX_MEDIA_TYPE)
    return normal


# --- how it is done --------------------------------------------------------------------------------------------------


def _name(what: str, value: str, max_length: int) -> str:
    name = _clean(what, value, max_length)
    # Only joiners, marks of direction and the like: a name that nobody can see, click or tell from another.
    if all(unicodedata.category(c)[0] in "CZ" and unicodedata.category(c) not in ("Cn", "Co") for c in name):
        raise _refusal(what, value, "shows nothing", "Use at least one visible character")
    return name


def _path(what: str, value: str) -> str:
    path = _clean(what, value, MAX_PATH_BYTES, trim=False)
    size = len(path.encode())
    if size > MAX_PATH_BYTES:
        raise _refusal(what, value, f"is {size:,} bytes of UTF-8", f"Use at most {MAX_PATH_BYTES:,}")
    if "\\" in path:
        raise _refusal(what, value, "has a backslash", "Put '/' between folders, and no backslash into names")
    if path.startswith("/"):
        raise _refusal(what, value, "is absolute", "Leave out the '/' at its start")
    for name in path.split("/"):
        if name == "":
            raise _refusal(what, value, "has an empty name", "Put one '/' between names and none at the end")
        if name in (".", ".."):
            raise _refusal(what, value, f"has the name {name!r}", "Write the path without '.' and '..'")
        if len(name.encode()) > MAX_SEGMENT_BYTES:
            raise _refusal(
                what,
                value,
                f"has a name of {len(name.encode()):,} bytes",
                f"Use at most {MAX_SEGMENT_BYTES} bytes each",
            )
    return path


def _clean(
    what: str, value: str, max_length: int, *, trim: bool = True, may_be_empty: bool = False, form: str = "NFC"
) -> str:
    _check_text(what, value)
    trimmed = value.strip() if trim else value
    _check_length(what, trimmed, max_length * _COMPOSES, max_length)
    found = _FORBIDDEN.search(trimmed)
    if found is not None:
        rule = f"has the control character U+{ord(found[0]):04X}"
        raise _refusal(what, value, rule, "Remove it; it cannot be seen but changes what is read")
    normal = unicodedata.normalize("NFKC" if form == "NFKC" else "NFC", trimmed)
    normal = normal.strip() if trim else normal
    if not normal and not may_be_empty:
        raise _refusal(what, value, "is empty", "Give at least one character")
    _check_length(what, normal, max_length, max_length)
    return normal


def _check_text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise _refusal(what, value, f"is {type(value).__name__}, not text", "Send a text")
    found = _SURROGATE.search(value)
    if found is not None:
        rule = f"has half a character at position {found.start()}, which UTF-8 cannot hold"
        raise _refusal(what, value, rule, "Send valid Unicode text")


def _check_length(what: str, value: str, bound: int, said: int) -> None:
    if len(value) > bound:
        raise _refusal(what, value, f"has {len(value):,} characters", f"Use at most {said:,}")


def _refusal(what: str, value: object, rule: str, mend: str) -> InvalidName:
    return InvalidName(f"{what} {_shown(value)}{rule}. {mend}.", details={"field": what, "rule": rule})


def _shown(value: object) -> str:
    """The value, short and harmless to print: `repr` escapes what could fool a terminal or a reader."""
    if not isinstance(value, str):
        return ""
    return f"{value!r} " if len(value) <= 60 else f"{value[:40]!r}… "


def _is_slug(name: str) -> bool:
    return (
        _SLUG.fullmatch(name) is not None
        and "--" not in name
        and ".." not in name
        and name[0] not in "-."
        and name[-1] not in "-."
        and not name.endswith(".git")
    )


def _tidy(plain: str) -> str:
    """The longest start of a text that can be made a slug; empty where nothing is left."""
    name = re.sub(r"\.{2,}", ".", _NOT_SLUG.sub("-", plain)).strip("-.")[:MAX_SLUG].rstrip("-.")
    if name.endswith(".git"):
        name = name.removesuffix(".git").rstrip("-.") + "-git"
    return name.strip("-")


def _numbered(base: str, number: int) -> str:
    ending = f"-{number}"
    return base[: MAX_SLUG - len(ending)].rstrip("-.") + ending
