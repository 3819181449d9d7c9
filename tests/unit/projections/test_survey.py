from __future__ import annotations

from projections.event_catalogue.survey import (
    MAX_PATHS,
    MAX_SAMPLES,
    decode_sample,
    survey_properties,
)


def seen(*documents):
    return {path: dict(values.counts) for path, values in survey_properties(documents).items()}


def samples(*documents):
    return {
        path: sorted(map(decode_sample, values.encode_samples()), key=repr)
        for path, values in survey_properties(documents).items()
        if values.encode_samples()
    }


def test_every_path_has_its_types_and_counts():
    assert seen({"a": 1, "b": "x"}, {"a": "1"}, {"a": None, "c": True}, {}) == {
        ".a": {"number": 1, "string": 1, "null": 1},
        ".b": {"string": 1},
        ".c": {"boolean": 1},
    }


def test_objects_and_lists_are_looked_into():
    assert seen(
        {"cart": {"total": 1.5}, "items": [{"type": "a"}, {"type": "b"}], "tags": ["x"]}
    ) == {
        ".cart": {"object": 1},
        ".cart.total": {"number": 1},
        ".items": {"array": 1},
        ".items[]": {"object": 2},
        ".items[].type": {"string": 2},
        ".tags": {"array": 1},
        ".tags[]": {"string": 1},
    }


def test_names_are_written_as_where_reads_them():
    assert list(survey_properties([{"a b": 1}])) == ['["a b"]']
    assert list(survey_properties([{"": 1}])) == ['[""]']


def test_values_that_python_holds_equal_stay_apart_by_type():
    assert samples({"a": True}, {"a": 1}, {"a": "1"}) == {".a": ["1", 1, True]}
    assert samples({"a": 1.0}, {"a": 1}, {"a": -0.0}, {"a": 0}) == {".a": [0, 1]}


def test_a_few_short_values_are_kept_as_samples():
    [kept] = samples(*({"a": f"v-{i}"} for i in range(1_000)), {"a": "x" * 65}).values()
    assert len(kept) == MAX_SAMPLES
    assert samples({"a": "x" * 65, "b": None}) == {}
    assert samples({"a": 1.5e300}, {"a": -(2**53)}) == {".a": [-(2**53), 1.5e300]}


def test_paths_are_capped_in_number_length_and_depth():
    assert len(survey_properties([{f"k{i:04}": 1 for i in range(1_000)}])) == MAX_PATHS
    assert seen({"k" * 300: 1, "a": 1}) == {".a": {"number": 1}}
    deep: object = 1
    for _ in range(40):
        deep = {"d": deep}
    assert max(path.count(".d") for path in survey_properties([{"d": deep}])) == 10
