from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.errors import InvalidRequest
from projections.kit.where import Filter, parse, step


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("properties.total>100", Filter(("total",), ">", "100")),
        ("properties.total >= 10.50", Filter(("total",), ">=", "10.50")),
        ("properties.total<-1e3", Filter(("total",), "<", "-1e3")),
        ("properties.items[].type=monitor", Filter(("items", None, "type"), "=", '"monitor"')),
        ('properties["a b"]="x"', Filter(("a b",), "=", '"x"')),
        ('properties["say \\"hi\\""][]=1', Filter(('say "hi"', None), "=", "1")),
        ("properties.a.b!=true", Filter(("a", "b"), "!=", "true")),
        ("properties.a=null", Filter(("a",), "=", "null")),
        ('properties.a="true"', Filter(("a",), "=", '"true"')),
        ('properties.a="1"', Filter(("a",), "=", '"1"')),
        ('properties.a=""', Filter(("a",), "=", '""')),
        ("properties.a=two words ", Filter(("a",), "=", '"two words"')),
        ("properties.a=b=c", Filter(("a",), "=", '"b=c"')),
        ("properties.a=007", Filter(("a",), "=", '"007"')),
        ("properties.a=NaN", Filter(("a",), "=", '"NaN"')),
        ("properties.a=nullable", Filter(("a",), "=", '"nullable"')),
        ("properties.a<=b", Filter(("a",), "<=", '"b"')),
        ("properties.$set-x.ümlaut=1", Filter(("$set-x", "ümlaut"), "=", "1")),
        ("properties.coupon exists", Filter(("coupon",), "exists")),
        ("properties.coupon  not  exists", Filter(("coupon",), "not exists")),
        ("properties.exists exists", Filter(("exists",), "exists")),
    ],
)
def test_a_filter_is_understood(text, understood):
    assert parse(text) == understood


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
        ('properties["\\x"]=1', "no JSON string"),
        ("properties.a=", "has no value"),
        ('properties.a="x', "no JSON string"),
        ('properties.a="x" y', "no JSON string"),
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
        parse(text)
    assert problem in str(refused.value)
    assert "write PATH OPERATOR VALUE" in str(refused.value)
    assert refused.value.details["where"] in text or text in refused.value.details["where"]


@given(st.text())
def test_any_text_is_understood_or_refused(text: str):
    for filter_ in (text, f"properties{text}", f"properties.a{text}"):
        with suppress(InvalidRequest):
            assert isinstance(parse(filter_), Filter)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
def test_any_name_can_be_written_in_a_path(name: str):
    if len(step(name)) < 900:
        assert parse(f"properties{step(name)}=1").steps == (name,)
