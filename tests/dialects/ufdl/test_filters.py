"""The filter language: what is parsed, and where a wrong filter is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.dialects.ufdl import filters
from entrepot.model.errors import Invalid
from entrepot.model.queries import All, Compare, Contains, Either, IsNull, Not, Operator, Order, Query
from tests.support.ufdl import Lab


def one(**expression: Any) -> Any:
    return filters.parse({"expressions": [expression]}, filters.DATASETS).where[0]


def exact(field: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"type": "exact", "field": field, "value": value, **more}


# Parsing


def test_every_expression_has_its_meaning() -> None:
    at = "expressions[0]"
    assert one(**exact("name", "x")) == Compare(("name",), Operator.EQUAL, "x", f"{at}.value")
    assert one(**exact("pk", 5, invert=True)) == Not(Compare(("n",), Operator.EQUAL, 5, f"{at}.value"))
    assert one(type="contains", field="tags", sub_string="a", case_insensitive=True) == Contains(
        ("tags",), "a", f"{at}.field", True
    )
    assert one(type="isnull", field="deletion_time") == IsNull(("trashed_at",), f"{at}.field")
    assert one(type="is_null", field="deletion_time") == IsNull(("trashed_at",), f"{at}.field")
    assert one(type="compare", field="version", operator=">=", value=2) == Compare(
        ("number",), Operator.AT_LEAST, 2, f"{at}.value"
    )


def test_relations_go_by_dots_and_underscores() -> None:
    for name in ("project.team.name", "project__team__name", "project.team__name"):
        assert one(**exact(name, "x")).field == ("project", "team", "name")
    assert one(**exact("license.name", "x")).field == ("licence", "name")
    assert one(**exact("creation_time", "x")).field == ("created_at",)


def test_and_stands_in_or_and_not_the_other_way_round() -> None:
    leaf = exact("name", "x")
    both = {"type": "and", "sub_expressions": [leaf, leaf]}
    found = one(type="or", sub_expressions=[both, leaf], invert=True)
    assert isinstance(found, Not)
    assert isinstance(found.of, Either)
    assert isinstance(found.of.of[0], All)
    assert found.of.of[1].at == "expressions[0].sub_expressions[1].value"  # type: ignore[union-attr]


def test_order_and_the_rest() -> None:
    body = {
        "order_by": [{"field": "project__name", "ascending": False}, {"field": "pk", "nulls_first": False}],
        "include_inactive": True,
    }
    assert filters.parse(body, filters.DATASETS) == Query(
        (),
        (Order(("project", "name"), "order_by[0].field", False), Order(("n",), "order_by[1].field", True, False)),
        True,
    )
    assert filters.parse(None, filters.DATASETS) == filters.parse({}, filters.DATASETS) == Query()


def test_a_domain_is_always_null() -> None:
    assert one(type="isnull", field="domain") == All(())
    assert one(**exact("domain.name", "x")) == Either(())
    assert filters.parse({"order_by": [{"field": "domain"}]}, filters.DATASETS) == Query()


LEAF = exact("name", "x")
WRONG: list[tuple[Any, str]] = [
    ([], "filter"),
    ("x", "filter"),
    ({"where": []}, "filter"),
    ({"expressions": {}}, "expressions"),
    ({"expressions": [5]}, "expressions[0]"),
    ({"expressions": [{}]}, "expressions[0].type"),
    ({"expressions": [{"type": "like"}]}, "expressions[0].type"),
    ({"expressions": [{"type": ["exact"]}]}, "expressions[0].type"),
    ({"expressions": [{**LEAF, "extra": 1}]}, "expressions[0]"),
    ({"expressions": [{**LEAF, "invert": "yes"}]}, "expressions[0].invert"),
    ({"expressions": [{**LEAF, "case_insensitive": 1}]}, "expressions[0].case_insensitive"),
    ({"expressions": [{"type": "exact", "field": "name"}]}, "expressions[0].value"),
    ({"expressions": [exact("name", None)]}, "expressions[0].value"),
    ({"expressions": [exact("name", ["x"])]}, "expressions[0].value"),
    ({"expressions": [exact("name", "x" * 10_001)]}, "expressions[0].value"),
    ({"expressions": [exact(5, "x")]}, "expressions[0].field"),  # type: ignore[arg-type]
    ({"expressions": [exact("password", "x")]}, "expressions[0].field"),
    ({"expressions": [exact("creator.password", "x")]}, "expressions[0].field"),
    ({"expressions": [exact("files", "x")]}, "expressions[0].field"),
    ({"expressions": [exact("name; DROP TABLE version", "x")]}, "expressions[0].field"),
    ({"expressions": [{"type": "contains", "field": "name", "sub_string": ""}]}, "expressions[0].sub_string"),
    ({"expressions": [{"type": "contains", "field": "name"}]}, "expressions[0].sub_string"),
    ({"expressions": [{"type": "compare", "field": "pk", "operator": "=", "value": 1}]}, "expressions[0].operator"),
    ({"expressions": [{"type": "compare", "field": "pk", "operator": "<", "value": True}]}, "expressions[0].value"),
    ({"expressions": [{"type": "and"}]}, "expressions[0].sub_expressions"),
    ({"expressions": [{"type": "and", "sub_expressions": [LEAF]}]}, "expressions[0].sub_expressions"),
    (
        {"expressions": [{"type": "and", "sub_expressions": [LEAF, {"type": "or", "sub_expressions": [LEAF, LEAF]}]}]},
        "expressions[0].sub_expressions[1].type",
    ),
    (
        {"expressions": [{"type": "or", "sub_expressions": [{"type": "or", "sub_expressions": [LEAF, LEAF]}, LEAF]}]},
        "expressions[0].sub_expressions[0].type",
    ),
    ({"expressions": [LEAF] * 201}, "expressions[200]"),
    ({"order_by": [{"field": "pk"}] * 21}, "order_by"),
    ({"order_by": ["name"]}, "order_by[0]"),
    ({"order_by": [{"field": "name", "ascending": "no"}]}, "order_by[0].ascending"),
    ({"order_by": [{"field": "name", "nulls_first": None}]}, "order_by[0].nulls_first"),
    ({"order_by": [{"field": "nope"}]}, "order_by[0].field"),
    ({"include_inactive": 1}, "include_inactive"),
]


@pytest.mark.parametrize(("body", "at"), WRONG)
def test_a_wrong_filter_names_the_place(body: Any, at: str) -> None:
    with pytest.raises(Invalid) as caught:
        filters.parse(body, filters.DATASETS)
    assert caught.value.details["at"] == at
    assert caught.value.message.startswith(f"Unable to parse JSON: {at} ")


# Over the wire


def names(found: list[dict[str, Any]]) -> list[str]:
    return [record["name"] for record in found]


def test_lists_by_filters(lab: Lab) -> None:
    for name, more in (("a", {"tags": "x,y"}), ("b", {"is_public": True}), ("C", {"description": "long"})):
        lab.writer.dataset(name, {f"{name}.txt": b"1", "also.txt": b"2"}, **more)
    copied = lab.writer.listed(exact("name", "a"))[0]["pk"]
    lab.writer.ok("POST", f"/datasets/{copied}/copy")
    listed = lab.writer.listed
    assert [(one["name"], one["version"]) for one in listed()] == [("C", 1), ("a", 1), ("a", 2), ("b", 1)]
    assert names(listed(exact("name", "c", case_insensitive=True))) == ["C"]
    assert names(listed({"type": "compare", "field": "version", "operator": ">", "value": 1})) == ["a"]
    assert names(listed(exact("previous_version", 1))) == ["a"]
    assert names(listed({"type": "contains", "field": "tags", "sub_string": "y"}, exact("version", 1))) == ["a"]
    assert names(listed(exact("project__team__name", "lab"), exact("is_public", True))) == ["b"]
    files = {"type": "contains", "field": "files.file.name.filename", "sub_string": ".txt"}
    assert names(listed(files)) == ["C", "a", "a", "b"], "once each, however many files match"
    assert names(listed(exact("files.file.name.filename", "b.txt"))) == ["b"]
    either = {"type": "or", "sub_expressions": [exact("name", "b"), exact("description", "long")]}
    assert names(listed(either)) == ["C", "b"]
    assert names(listed({**either, "invert": True})) == ["a", "a"]
    by = [{"field": "version", "ascending": False}, {"field": "name"}]
    assert next((one["name"], one["version"]) for one in listed(order_by=by)) == ("a", 2)
    assert names(listed({"type": "isnull", "field": "domain"}, exact("name", "b"))) == ["b"]
    assert listed({"type": "isnull", "field": "domain", "invert": True}) == []


@pytest.mark.parametrize(
    "expression",
    [
        exact("version", "x"),
        exact("version", 10**25),
        exact("name", 5),
        exact("is_public", "perhaps"),
        {"type": "compare", "field": "creation_time", "operator": "<", "value": "yesterday"},
        {"type": "contains", "field": "version", "sub_string": "1"},
        {"type": "compare", "field": "is_public", "operator": "<", "value": "true"},
    ],
)
def test_a_value_of_a_wrong_type_names_the_place_too(shared_lab: Lab, expression: dict[str, Any]) -> None:
    got = shared_lab.writer("POST", "/datasets/list", {"expressions": [expression]})
    assert got.status_code == 400
    assert got.json()["detail"].startswith("expressions[0].")


@pytest.mark.parametrize("kind", ["datasets", "projects", "teams", "users", "licences", "licenses", "nodes"])
def test_every_kind_takes_filters_and_a_slash(shared_lab: Lab, kind: str) -> None:
    field = "username" if kind == "users" else "name"
    found = shared_lab.staff.ok("POST", f"/{kind}/list/", {"expressions": [exact(field, "nothing of that name")]})
    assert found == []
    body = {"expressions": [exact("pk", 1)], "order_by": [{"field": field}]}
    assert shared_lab.staff("POST", f"/{kind}/list", body).status_code == 200
    assert shared_lab.staff("POST", f"/{kind}/list", {"expressions": [exact("nope", 1)]}).status_code == 400


def test_every_name_of_this_wire_is_one_of_the_catalogue(shared_lab: Lab) -> None:
    for kind, vocabulary in (
        ("datasets", filters.DATASETS),
        ("projects", filters.PROJECTS),
        ("teams", filters.TEAMS),
        ("users", filters.USERS),
        ("licences", filters.LICENCES),
        ("nodes", filters.NODES),
    ):
        for name in vocabulary:
            body = {"expressions": [{"type": "isnull", "field": name}]}
            assert shared_lab.staff("POST", f"/{kind}/list", body).status_code == 200, (kind, name)
