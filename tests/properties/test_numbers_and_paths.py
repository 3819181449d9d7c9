"""What is quicker says the same: the text of a number, and what finds a value that is always at the same path."""

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
def test_equal_numbers_have_the_same_text_whatever_their_type(number: float) -> None:
    whole = Decimal(repr(number)).normalize(Context(prec=2_000))
    assert canonical_number(number) == (str(whole) if whole else "0")
    assert Decimal(canonical_number(number)) == to_exact(number)


@given(st.lists(numbers.map(canonical_number), min_size=1, max_size=5))
@example(["0.1", "0.2", "0.3"])
@example(["1", "1", "2"])
@example(["1e308", "-1e308", "1e-308"])
def test_averages_are_exact_whether_a_decimal_can_say_them_or_not(found: list[str]) -> None:
    left = [found[it:] for it in range(len(found))]
    assert list(results_as_values_expire("avg", found)) == [
        *(sum(map(Fraction, it)) / len(it) for it in left),
        None,
    ]


@given(documents, st.lists(st.none() | st.sampled_from(NAMES), max_size=3).map(tuple))
def test_what_is_made_ready_for_a_path_finds_what_looking_step_by_step_finds(
    document: Any, steps: paths.PathSteps
) -> None:
    assert list(paths.compile_path(steps)(document)) == list(paths.find_values(document, steps))
