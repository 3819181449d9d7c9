"""Fast versions equal slow ones: the text of a number, and the look-up of a path."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from domain.conditions.aggregation import canonical_number, results_as_values_expire, to_exact
from domain.core import paths

NAMES = ("a", "b", "properties")
numbers = st.integers(-(2**1_024) + 1, 2**1_024 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.text("ab", max_size=2) | st.integers(0, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@given(numbers)
@example(0.0)
@example(-0.0)
@example(1e22)
@example(1e-7)
@example(0.0001)
@example(1_000)
def test_equal_numbers_of_any_type_have_the_same_text(number: float) -> None:
    exact = Decimal(repr(number)).normalize(Context(prec=2_000))
    assert canonical_number(number) == (str(exact) if exact else "0")
    assert Decimal(canonical_number(number)) == to_exact(number)


@given(st.lists(numbers.map(canonical_number), min_size=1, max_size=5))
@example(["0.1", "0.2", "0.3"])
@example(["1", "1", "2"])
@example(["1e308", "-1e308", "1e-308"])
def test_averages_are_exact_with_or_without_a_finite_decimal(values: list[str]) -> None:
    suffixes = [values[start:] for start in range(len(values))]
    assert list(results_as_values_expire("avg", values)) == [
        *(sum(map(Fraction, rest)) / len(rest) for rest in suffixes),
        None,
    ]


@given(documents, st.lists(st.none() | st.sampled_from(NAMES), max_size=3).map(tuple))
def test_a_compiled_path_finds_what_a_step_by_step_search_finds(
    document: Any, steps: paths.PathSteps
) -> None:
    assert list(paths.compile_path(steps)(document)) == list(paths.find_values(document, steps))
