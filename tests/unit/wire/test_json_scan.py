"""Scans of JSON: offsets of elements, limits, and time linear in the length."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.wire import json_scan
from interfaces.wire.base import InvalidMessage

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
layouts = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n\t", " : "), ("\r\n,", ":\n")])


def as_written(value, layout, ascii_only):
    return json.dumps(value, separators=layout, ensure_ascii=ascii_only).encode()


@given(st.lists(values), layouts, st.booleans())
def test_elements_are_the_same_slices_that_a_json_parser_returns(elements, layout, ascii_only):
    data = as_written(elements, layout, ascii_only)
    slices = [data[start:end] for start, end in json_scan.element_spans(data)]
    assert slices == [
        bytes(element) for element in msgspec.json.decode(data, type=list[msgspec.Raw])
    ]


@given(st.dictionaries(st.text(), values), layouts, st.booleans())
def test_members_are_the_same_slices_that_a_json_parser_returns(fields, layout, ascii_only):
    data = as_written(fields, layout, ascii_only)
    slices = {
        json.loads(b'"%b"' % member.key): data[member.start : member.end]
        for member in json_scan.members(data)
    }
    expected = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    assert slices == {key: bytes(value) for key, value in expected.items()}


@given(st.binary() | st.text('{}[]",:\\ a0').map(str.encode))
def test_any_bytes_are_split_or_malformed(data):
    for scan in (json_scan.element_spans, json_scan.members):
        with suppress(json_scan.MalformedJson):
            scan(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"1", b"[", b"{", b"[1", b'["a', b'["a\\"]', b'["\\', b"[1]]", b"[1] x", b"[}", b"[{]}",
     b"]", b'{"a":[}]}', b'["]', b"[1]["],
)  # fmt: skip
def test_unbalanced_brackets_or_quotes_are_malformed(data):
    with pytest.raises(json_scan.MalformedJson):
        json_scan.element_spans(data)


@pytest.mark.parametrize("data", [b"{1:2}", b'{"a"}', b"{,}", b'{"a":1,}', b'{"a" 1}', b"{a:1}"])
def test_a_member_needs_a_key(data):
    with pytest.raises(json_scan.MalformedJson):
        json_scan.members(data)


HOSTILE = [
    b"[" * 500_000,
    b"[" + b'{"a":' * 100_000,
    b"[" + b"a" * 500_000,
    b"{" + b"a" * 500_000,
    b'["' + b'\\"' * 250_000,
    b'{"' + b'\\"' * 250_000,
    b'["' + b"\\" * 499_999,
    b'[{"a' + b'\\"' * 250_000,
    b"[" + b'"",' * 160_000,
    b'{"a"' + b" " * 500_000,
    b'[{"a"' + b'"' * 500_000,
    b"[" + b" " * 500_000 + b"]",
    b"[" + b"," * 300_000 + b"]",
    b"[" + b"[]" * 250_000 + b"]",
    b'["' + b"\\ud83d" * 80_000 + b'"]',
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:8] + b".." + data[-4:]))
def test_hostile_texts_take_linear_time(data):
    start = time.process_time()
    for scan in (json_scan.element_spans, json_scan.members, json_scan.check_shape):
        with suppress(json_scan.MalformedJson, InvalidMessage):
            scan(data)
    json_scan.lone_surrogates_as_nul(data)
    assert time.process_time() - start < 5  # quadratic would be minutes


@given(st.text(st.characters(), max_size=30), st.text(max_size=5))
def test_only_lone_surrogates_read_as_nul(text, end):
    data = json.dumps(text + "\\" + end + "\\ud800").encode()
    readable = json_scan.lone_surrogates_as_nul(data)
    assert len(readable) == len(data)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\ufffd" not in whole:  # no lone surrogate
        assert readable == data


@pytest.mark.parametrize(
    ("data", "readable"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d"', rb'"\u0000"'),
        (rb'"\ude00\ud83d"', rb'"\u0000\u0000"'),
        (rb'"\uD83D\ud83d\udE00"', rb'"\u0000\ud83d\udE00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\u0000"'),
        (rb'"\ud83"', rb'"\ud83"'),
    ],
)
def test_lone_surrogates_are_distinguished_from_pairs_and_escaped_backslashes(data, readable):
    assert json_scan.lone_surrogates_as_nul(data) == readable


def rejection_code(data):
    with pytest.raises(InvalidMessage) as caught:
        json_scan.check_shape(data)
    return caught.value.code


def nested(depth):
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize("wrap", [b"%b", b'[1,"}{][",%b]', b'{"\\"}{":"\\\\","b":%b}'])
def test_32_levels_are_allowed_and_33_are_not(wrap):
    around = 0 if wrap == b"%b" else 1
    json_scan.check_shape(wrap % nested(32 - around))
    assert rejection_code(wrap % nested(33 - around)) == "too_deep"


def test_brackets_in_strings_do_not_change_the_depth():
    json_scan.check_shape(b'{"a":"' + b"[{" * 500 + b'"}')
    json_scan.check_shape(b'{"a":"\\"' + b"[{" * 500 + b'"}')
    hiding = b'{"}":' * 40 + b"1" + b',"{":1}' * 40
    assert rejection_code(hiding) == "too_deep"


def test_many_small_objects_are_not_deep():
    json_scan.check_shape(json.dumps({"items": [{"sku": [1]} for _ in range(300)]}).encode())


def test_1000_keys_are_allowed_and_1001_are_not():
    wide = {f"k{number}": number for number in range(1000)}
    json_scan.check_shape(json.dumps(wide).encode())
    json_scan.check_shape(json.dumps({"a": wide, "b": wide}).encode())
    assert rejection_code(json.dumps(wide | {"one": 1}).encode()) == "too_many_keys"
    assert rejection_code(json.dumps({"a": [wide | {"one": {}}]}).encode()) == "too_many_keys"
    json_scan.check_shape(json.dumps({"a": "x:" * 2000}).encode())


@pytest.mark.parametrize("before", ["", '"', "\\", "x" * 300, '"' * 7 + "," + '"'])
@pytest.mark.parametrize("layout", [(",", ":"), (" , ", "  :\n ")])
def test_a_key_of_512_bytes_is_allowed_and_513_are_not(before, layout):
    def message(length):
        fields = {"a": before, "k" * length: 1, "b": "y" * 800}
        return json.dumps(fields, separators=layout).encode()

    json_scan.check_shape(message(512))
    assert rejection_code(message(513)) == "key_too_long"


def test_escaped_quotes_do_not_hide_a_long_key():
    key = '"'.join("k" * 90 for _ in range(7))
    assert rejection_code(json.dumps({key: 1}).encode()) == "key_too_long"


def test_long_strings_and_long_gaps_are_not_keys():
    json_scan.check_shape(json.dumps({"a": "x" * 20_000, "b": ["y" * 3000, ":"]}).encode())
    json_scan.check_shape(b'{"a":[' + b"1," * 600 + b'":b",":"]}')


@pytest.mark.parametrize(
    ("data", "code"),
    [(b'{"a":"\xff"}', "invalid_utf8"), (b'{"a":"\xed\xa0\x80"}', "invalid_utf8"),
     (b'{"a":"\xc0\x80"}', "invalid_utf8"), (b"\xef\xbb\xbf{}", "invalid_json")],
)  # fmt: skip
def test_text_is_strict_utf8(data, code):
    assert rejection_code(data) == code
