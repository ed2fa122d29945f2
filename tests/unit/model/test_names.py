"""The gate for strings: what passes, what is refused and in which words."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.model import names
from entrepot.model.errors import InvalidName

GATES: dict[str, Callable[[str], str]] = {
    "dataset_name": names.dataset_name,
    "project_name": names.project_name,
    "team_name": names.team_name,
    "user_name": names.user_name,
    "slug": names.slug,
    "alias": names.alias,
    "entry_path": names.entry_path,
    "file_name": names.file_name,
    "member_path": names.member_path,
    "collection_path": names.collection_path,
    "tag": names.tag,
    "media_type": names.media_type,
    "text": lambda value: names.text(value, 1000, "Description"),
}
#: `text` hands back what it got and so shares only the rules that storage makes.
NAME_GATES = {name: gate for name, gate in GATES.items() if name != "text"}

# Unicode's corners, and the characters that the rules speak of, far more often than chance would bring them.
tricky = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Mn"]),
        st.sampled_from("/\\.-_~@,;=\"' \t\n\x00\u202e\u2066\u200d\ufeff\u0301\u1f82\u212a\u2000\uff0f\ufb01\ufdfaaA1"),
    ),
    max_size=40,
)


@pytest.mark.parametrize("gate", GATES)
@given(value=st.one_of(tricky, tricky.map(lambda s: s * 60), st.text("ab./- ", max_size=2000)))
@example(value="\u1100\u1161\u11a8" * 80)
@example(value="\u0958" * 255)
@example(value="\ufdfa" * 150)
def test_a_gate_raises_nothing_but_invalid_name_and_its_result_passes_again(gate: str, value: str) -> None:
    refusal: InvalidName | None = None
    try:
        once = GATES[gate](value)
    except InvalidName as exc:
        refusal = exc
    if refusal is None:
        assert GATES[gate](once) == once
        once.encode()
        assert "\x00" not in once
    else:
        assert refusal.message.endswith(".")
        assert len(refusal.message) < 900
        assert refusal.message.isprintable()
        refusal.message.encode()


@pytest.mark.parametrize("gate", NAME_GATES)
@given(value=tricky)
def test_what_passes_is_normal_and_has_no_control_characters(gate: str, value: str) -> None:
    try:
        name = NAME_GATES[gate](value)
    except InvalidName:
        return
    assert unicodedata.is_normalized("NFC", name)
    assert not [c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(name) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("value", [None, 3, b"bytes", ["a"], 1.5])
def test_what_is_not_text_is_refused_in_words(gate: str, value: object) -> None:
    with pytest.raises(InvalidName, match=r"is \w+, not text"):
        GATES[gate](value)  # type: ignore[arg-type]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("value", ["a\x00b", "a\ud800b", "\udcffa"])
def test_nul_and_half_characters_pass_nowhere(gate: str, value: str) -> None:
    with pytest.raises(InvalidName):
        GATES[gate](value)


@pytest.mark.parametrize("gate", NAME_GATES)
@pytest.mark.parametrize("value", ["a\nb", "a\x1b[31mb", "a\x7fb", "a\x85b", "a\u2028b", "txt\u202eexe", "a\u2066b"])
def test_characters_that_change_what_a_name_looks_like_pass_in_no_name(gate: str, value: str) -> None:
    with pytest.raises(InvalidName, match=r"control character U\+[0-9A-F]{4}"):
        NAME_GATES[gate](value)


def test_a_refusal_says_rule_value_and_mend() -> None:
    with pytest.raises(InvalidName) as caught:
        names.entry_path("raw//plate.csv")
    assert caught.value.message == (
        "Entry path 'raw//plate.csv' has an empty name. Put one '/' between names and none at the end."
    )
    assert caught.value.details == {"field": "Entry path", "rule": "has an empty name"}


def test_a_refusal_shortens_the_value_and_escapes_what_could_fool_a_reader() -> None:
    with pytest.raises(InvalidName, match="…") as caught:
        names.dataset_name("\u202e" + "x" * 10_000)
    assert len(caught.value.message) < 200
    with pytest.raises(InvalidName, match=r"'\\u202eexe'"):
        names.dataset_name("\u202eexe")


def test_a_run_of_marks_is_refused_before_the_quadratic_work() -> None:
    """A million combining marks would take minutes to order."""
    with pytest.raises(InvalidName, match="1,000,001 characters"):
        names.dataset_name("a" + "\u0301\u0323" * 500_000)


class TestNamesOfThings:
    @pytest.mark.parametrize("value", ["penguins", "Größe & Gewicht", "数据 集", "a/b@3", "👩‍🔬", "x" * 255, "עברית"])
    def test_any_script_and_any_punctuation_is_a_dataset_name(self, value: str) -> None:
        assert names.dataset_name(value) == unicodedata.normalize("NFC", value)

    def test_names_are_trimmed_and_composed(self) -> None:
        assert names.dataset_name(" \u3000Cafe\u0301\n") == "Café"

    def test_length_is_counted_in_characters_of_the_stored_form(self) -> None:
        assert names.dataset_name("e\u0301" * 255) == "é" * 255
        assert names.dataset_name("\u03b1\u0313\u0300\u0345" * 255) == "\u1f82" * 255
        with pytest.raises(InvalidName, match=r"256 characters. Use at most 255"):
            names.dataset_name("é" * 256)
        with pytest.raises(InvalidName, match=r"has 510 characters. Use at most 255"):
            names.dataset_name("\u0958" * 255)  # NFC takes these apart

    @pytest.mark.parametrize("value", ["", "   ", "\u200b", "\u200d\u2060\u00ad"])
    def test_a_name_shows_something(self, value: str) -> None:
        with pytest.raises(InvalidName, match=r"is empty|shows nothing"):
            names.dataset_name(value)

    def test_a_team_may_not_look_like_a_personal_one(self) -> None:
        assert names.team_name("Imaging ~ core") == "Imaging ~ core"
        with pytest.raises(InvalidName, match="personal teams"):
            names.team_name("~ada")

    @pytest.mark.parametrize("value", ["ada", "ada.lovelace+lab@example.org", "Žofie", "李", "0", "a" * 150])
    def test_user_names(self, value: str) -> None:
        assert names.user_name(value) == value

    @pytest.mark.parametrize("value", ["~ada", "a b", "a/b", "a:b", "", ".", "..", "user_" + "0" * 32, "a" * 151])
    def test_not_user_names(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.user_name(value)

    def test_full_width_letters_do_not_make_a_second_admin(self) -> None:
        assert names.user_name("ａｄｍｉｎ") == "admin"


class TestSlugs:
    @pytest.mark.parametrize("value", ["a", "penguins", "2024.plate_7", "a-b", "_x_", "x" * 96])
    def test_legal(self, value: str) -> None:
        assert names.slug(value) == value

    @pytest.mark.parametrize(
        "value",
        ["", "A", "a b", "-a", "a-", ".a", "a.", "a--b", "a..b", "repo.git", "x" * 97, "ä", "a/b", "a@3", "a\n-"],
    )
    def test_illegal(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.slug(value)

    def test_a_refusal_proposes_one_that_would_do(self) -> None:
        with pytest.raises(InvalidName, match="Use 'palmer-penguins', for example"):
            names.slug("Palmer Penguins")

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Palmer Penguins", "palmer-penguins"),
            ("  Größe & Gewicht (2024)  ", "grosse-gewicht-2024"),
            ("Ærø Łódź İzmir", "aero-lodz-izmir"),
            ("ﬁne ﬂow", "fine-flow"),
            ("plate.7_raw.csv", "plate.7_raw.csv"),
            ("a...b -- c", "a.b-c"),
            ("tools.git", "tools-git"),
            (".git", "git"),
            ("数据", "dataset"),
            ("!!!", "dataset"),
            ("", "dataset"),
            ("../../etc", "etc"),
            ("x" * 300, "x" * 96),
            ("x" * 95 + " y", "x" * 95),
        ],
    )
    def test_derived(self, name: str, expected: str) -> None:
        assert names.derive_slug(name) == expected

    def test_the_fallback_is_the_callers(self) -> None:
        assert names.derive_slug("数据", fallback="project") == "project"

    @given(st.one_of(tricky, st.text("ab.-git_", max_size=120)))
    @example("a" * 92 + "-.git")
    @example("-.git")
    @example("a.git.git")
    def test_what_is_derived_is_always_a_slug_and_derives_itself(self, name: str) -> None:
        derived = names.derive_slug(name)
        assert names.slug(derived) == derived
        assert names.derive_slug(derived) == derived

    def test_a_taken_slug_gets_the_next_number(self) -> None:
        assert names.next_slug("a", set().__contains__) == "a"
        assert names.next_slug("a", {"a"}.__contains__) == "a-2"
        assert names.next_slug("a", {"a", "a-2", "a-4"}.__contains__) == "a-3"

    @given(st.from_regex(names._SLUG, fullmatch=True).filter(names._is_slug), st.integers(1, 3000))
    def test_in_a_dense_run_the_next_number_is_the_lowest_free_one(self, base: str, count: int) -> None:
        taken = {base} | {names._numbered(base, n) for n in range(2, count + 1)}
        assert names.next_slug(base, taken.__contains__) == names._numbered(base, count + 1)

    @given(st.sets(st.integers(2, 200)))
    def test_with_gaps_it_is_free_all_the_same(self, numbers: set[int]) -> None:
        taken = {"a"} | {f"a-{n}" for n in numbers}
        assert names.next_slug("a", taken.__contains__) not in taken

    def test_a_name_used_a_million_times_costs_few_questions(self) -> None:
        asked: list[str] = []

        def taken(slug: str) -> bool:
            asked.append(slug)
            return slug == "a" or int(slug[2:]) <= 1_000_000

        assert names.next_slug("a", taken) == "a-1000001"
        assert len(asked) < 60

    def test_a_long_slug_makes_room_for_the_number(self) -> None:
        base = "x" * 93 + "-yz"
        assert names.next_slug(base, {base}.__contains__) == "x" * 93 + "-2"

    def test_it_ends_when_everything_is_taken(self) -> None:
        with pytest.raises(InvalidName, match="every number"):
            names.next_slug("a", lambda _: True)

    @pytest.mark.parametrize("value", ["v3", "Final.2024_b", "-", "a" * 64])
    def test_aliases(self, value: str) -> None:
        assert names.alias(value) == value

    @pytest.mark.parametrize("value", ["", ".", "..", "a b", "a/b", "a@b", "ä", "a" * 65])
    def test_not_aliases(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.alias(value)


class TestPaths:
    @pytest.mark.parametrize(
        "value",
        ["a", "raw/plate 7/A01.fastq.gz", "...", ".hidden", "a:b?*", "ünï/日本", " a /b ", "x" * 255, "-rf", "~"],
    )
    def test_legal_and_unchanged(self, value: str) -> None:
        assert names.entry_path(value) == value

    @pytest.mark.parametrize(
        "value", ["", "/etc/passwd", "..", "a/../b", "./a", "a/.", "a//b", "a/", "/", "a\\b", "C:\\x", "a/" + "x" * 256]
    )
    def test_illegal(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.entry_path(value)

    def test_bounds_are_bytes_of_utf8(self) -> None:
        assert names.entry_path("é" * 127)
        with pytest.raises(InvalidName, match="name of 256 bytes"):
            names.entry_path("é" * 128)
        longest = "/".join(["x" * 255] * 4)
        assert len(names.entry_path(longest)) == 1023
        assert names.entry_path("/".join(["x" * 204] * 4 + ["y" * 204]))  # 1,024 bytes
        with pytest.raises(InvalidName, match="1,025 characters"):
            names.entry_path("/".join(["x" * 204] * 4 + ["y" * 205]))
        with pytest.raises(InvalidName, match="1,026 bytes"):
            names.entry_path("/".join(["x" * 204] * 4 + ["y" * 202 + "éé"]))

    def test_two_spellings_of_one_path_are_one(self) -> None:
        assert names.entry_path("Cafe\u0301/x") == names.entry_path("Café/x")

    def test_case_counts_and_clashes_can_be_found(self) -> None:
        assert names.entry_path("Read.me") != names.entry_path("read.me")
        assert names.folded("Read.ME/É") == names.folded("read.me/e\u0301")

    def test_a_file_name_is_one_segment(self) -> None:
        assert names.file_name("plate 7.csv") == "plate 7.csv"
        for bad in ("a/b", "..", "../a", "a\\b", "", "/"):
            with pytest.raises(InvalidName, match="File name"):
                names.file_name(bad)

    @pytest.mark.parametrize(
        ("member", "path"),
        [("a\\b\\c.csv", "a/b/c.csv"), ("./a/b", "a/b"), ("././a", "a"), ("a/", "a"), ("a:b", "a:b"), ("./.x", ".x")],
    )
    def test_archive_members(self, member: str, path: str) -> None:
        assert names.member_path(member) == path

    @pytest.mark.parametrize(
        "member", ["C:\\x", "c:/x", "\\\\host\\x", "..\\x", "a/./b", "./", ".", "a/..", "a//b", "a//"]
    )
    def test_archive_members_that_lead_elsewhere(self, member: str) -> None:
        with pytest.raises(InvalidName):
            names.member_path(member)

    @pytest.mark.parametrize(
        ("value", "path"), [("", ""), ("/", ""), (" /raw/ 2024 /", "raw/2024"), ("raw", "raw"), ("a b/ü", "a b/ü")]
    )
    def test_collection_paths(self, value: str, path: str) -> None:
        assert names.collection_path(value) == path

    @pytest.mark.parametrize("value", ["a//b", "a/../b", ".", "a\\b", "a/ /b"])
    def test_not_collection_paths(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.collection_path(value)


class TestTags:
    def test_trimmed_without_empties_and_repeats_in_order(self) -> None:
        assert names.tags([" b ", "a", "", "b", "  ", "A"]) == ("b", "a", "A")

    def test_a_comma_would_make_two_of_it_elsewhere(self) -> None:
        with pytest.raises(InvalidName, match="comma"):
            names.tags(["a,b"])

    def test_one_text_is_not_a_list_of_letters(self) -> None:
        with pytest.raises(InvalidName, match="not a list"):
            names.tags("abc")
        with pytest.raises(InvalidName, match="not a list"):
            names.tags(5)  # type: ignore[arg-type]

    def test_how_long_and_how_many(self) -> None:
        assert names.tag("x" * 100)
        with pytest.raises(InvalidName):
            names.tag("x" * 101)
        assert len(names.tags(str(n) for n in range(1000))) == 1000
        with pytest.raises(InvalidName, match="at most 1,000"):
            names.tags(str(n) for n in range(1001))

    @given(st.lists(tricky))
    def test_the_result_passes_again(self, values: list[str]) -> None:
        try:
            once = names.tags(values)
        except InvalidName:
            return
        assert names.tags(once) == once
        assert names.tags(",".join(once).split(",")) == once


class TestTexts:
    def test_a_text_comes_back_as_it_was(self) -> None:
        value = ' {"a": "e\u0301"}\r\n\t\u202e '
        assert names.text(value, 100, "Metadata") == value
        assert names.text("", 0, "Metadata") == ""

    def test_its_bound_and_its_field_are_named(self) -> None:
        with pytest.raises(InvalidName, match=r"^Description 'aaaa' has 4 characters. Use at most 3.$"):
            names.text("aaaa", 3, "Description")

    @pytest.mark.parametrize(
        ("value", "normal"),
        [
            ("text/csv", "text/csv"),
            ("Text/CSV", "text/csv"),
            ("text/csv ;Charset=UTF-8;  header=absent ;", "text/csv; charset=UTF-8; header=absent"),
            ('multipart/x; boundary="a b;\\"c"', 'multipart/x; boundary="a b;\\"c"'),
            ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
        ],
    )
    def test_media_types(self, value: str, normal: str) -> None:
        assert names.media_type(value) == normal

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "text",
            "text/",
            "/csv",
            "text/csv\r\nSet-Cookie: a=b",
            "a/b; c",
            "a/b; c=d e",
            'a/b; c="d',
            "a/b,c/d",
            "é/x",
            "a/b;c=" + "d" * 300,
        ],
    )
    def test_not_media_types(self, value: str) -> None:
        with pytest.raises(InvalidName):
            names.media_type(value)


class _Slow(str):
    """A text that is looked at rule by rule."""


@given(st.text(alphabet="./a~ \\\x7f\x00é-", max_size=12) | st.text(max_size=6))
def test_the_short_way_of_usual_paths_decides_as_the_rules_do(path: str) -> None:
    def judged(value: str) -> str:
        try:
            return str(names.entry_path(value))
        except InvalidName as error:
            return str(error)

    assert judged(path) == judged(_Slow(path))


@pytest.mark.parametrize("length", [254, 255, 256])
def test_the_short_way_keeps_the_bound_on_a_name(length: int) -> None:
    with contextlib.nullcontext() if length <= 255 else pytest.raises(InvalidName):
        names.entry_path("x" * length)
