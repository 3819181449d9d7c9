from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.errors import InvalidRequest
from projections.kit.where import PropertyFilter, parse_filter, path_step


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("properties.total>100", PropertyFilter(("total",), ">", "100")),
        ("properties.total >= 10.50", PropertyFilter(("total",), ">=", "10.50")),
        ("properties.total<-1e3", PropertyFilter(("total",), "<", "-1e3")),
        (
            "properties.items[].type=monitor",
            PropertyFilter(("items", None, "type"), "=", '"monitor"'),
        ),
        ('properties["a b"]="x"', PropertyFilter(("a b",), "=", '"x"')),
        ('properties["say \\"hi\\""][]=1', PropertyFilter(('say "hi"', None), "=", "1")),
        ("properties.a.b!=true", PropertyFilter(("a", "b"), "!=", "true")),
        ("properties.a=null", PropertyFilter(("a",), "=", "null")),
        ('properties.a="true"', PropertyFilter(("a",), "=", '"true"')),
        ('properties.a="1"', PropertyFilter(("a",), "=", '"1"')),
        ('properties.a=""', PropertyFilter(("a",), "=", '""')),
        ("properties.a=two words ", PropertyFilter(("a",), "=", '"two words"')),
        ("properties.a=b=c", PropertyFilter(("a",), "=", '"b=c"')),
        ("properties.a=007", PropertyFilter(("a",), "=", '"007"')),
        ("properties.a=NaN", PropertyFilter(("a",), "=", '"NaN"')),
        ("properties.a=nullable", PropertyFilter(("a",), "=", '"nullable"')),
        ("properties.a<=b", PropertyFilter(("a",), "<=", '"b"')),
        ("properties.$set-x.ümlaut=1", PropertyFilter(("$set-x", "ümlaut"), "=", "1")),
        ("properties.coupon exists", PropertyFilter(("coupon",), "exists")),
        ("properties.coupon  not  exists", PropertyFilter(("coupon",), "not exists")),
        ("properties.exists exists", PropertyFilter(("exists",), "exists")),
    ],
)
def test_a_filter_is_understood(text, understood):
    assert parse_filter(text) == understood


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "does not begin with a path"),
        ("total>100", "does not begin with a path"),
        ("propertiestotal>100", "does not begin with a path"),
        ("properties>100", "does not begin with a path"),
        ("properties.total", "has no operator"),
        ("properties.total exists maybe", "has no operator"),
        ("properties.total~1", "has no operator"),
        ("properties.a b=1", "has no operator"),
        ("properties..a=1", "path that cannot be read"),
        ("properties.a[0]=1", "path that cannot be read"),
        ("properties['a']=1", "path that cannot be read"),
        ('properties["a]=1', "path that cannot be read"),
        ('properties["\\x"]=1', "not a JSON string"),
        ("properties.a=", "has no value"),
        ('properties.a="x', "not a JSON string"),
        ('properties.a="x" y', "not a JSON string"),
        ("properties.a>true", "only numbers and strings have an order"),
        ("properties.a<=null", "only numbers and strings have an order"),
        ("properties.a=9007199254740993", "quote it"),
        ("properties.a=1e999", "quote it"),
        ("properties.a=1e99999999999", "quote it"),
        ("properties.a=" + "x" * 1_000, "longer than 1000 characters"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_what_to_write(text, problem):
    with pytest.raises(InvalidRequest) as refused:
        parse_filter(text)
    assert problem in str(refused.value)
    assert "write PATH OPERATOR VALUE" in str(refused.value)
    assert refused.value.details["where"] in text or text in refused.value.details["where"]


@given(st.text())
def test_any_text_is_understood_or_refused(text: str):
    for filter_ in (text, f"properties{text}", f"properties.a{text}"):
        with suppress(InvalidRequest):
            assert isinstance(parse_filter(filter_), PropertyFilter)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
def test_any_name_can_be_written_in_a_path(name: str):
    if len(path_step(name)) < 900:
        assert parse_filter(f"properties{path_step(name)}=1").steps == (name,)
