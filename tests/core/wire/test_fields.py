"""A client's values: each is what it should be, or the error names it."""

from collections.abc import Callable

import pytest
from multidict import MultiDict

from gateway.core.errors import BadRequest
from gateway.core.filters import Filter
from gateway.core.wire.fields import Fields
from gateway.core.wire.stream_messages import Encoding

KNOWN = {"name"}
Reader = Callable[[Fields], object]

READERS: dict[str, Reader] = {
    "text": lambda fields: fields.text("name", "old", max_chars=3),
    "identifier": lambda fields: fields.identifier("name", "old"),
    "language": lambda fields: fields.language("name", "de"),
    "number": lambda fields: fields.number("name", 0.5, low=0, high=1),
    "integer": lambda fields: fields.integer("name", 5, low=1, high=9),
    "flag": lambda fields: fields.flag("name", True),
    "choice": lambda fields: fields.choice("name", Encoding.PCM16),
    "choices": lambda fields: fields.choices("name", frozenset({Filter.FILLERS}), Filter),
}


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("text", "old"),
        ("identifier", "old"),
        ("language", "de"),
        ("number", 0.5),
        ("integer", 5),
        ("flag", True),
        ("choice", Encoding.PCM16),
        ("choices", frozenset({Filter.FILLERS})),
    ],
)
def test_what_is_absent_is_the_default(kind: str, default: object) -> None:
    for is_query in (False, True):
        assert READERS[kind](Fields({}, KNOWN, is_query=is_query)) == default


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("text", "abc", "abc"),
        ("text", "", None),
        ("text", None, None),
        ("identifier", "a-1.b:c_d", "a-1.b:c_d"),
        ("identifier", None, None),
        ("language", " EN ", "en"),
        ("language", "auto", None),
        ("language", None, None),
        ("number", 1, 1),
        ("integer", 9, 9),
        ("flag", False, False),
        ("choice", "f32", Encoding.F32),
        ("choices", ["fillers", "prompt_echo"], frozenset({Filter.FILLERS, Filter.PROMPT_ECHO})),
        ("choices", [], frozenset()),
    ],
)
def test_what_json_may_say(kind: str, value: object, read: object) -> None:
    assert READERS[kind](Fields({"name": value}, KNOWN)) == read


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "abcd"),
        ("text", 5),
        ("identifier", ""),
        ("identifier", "a b"),
        ("identifier", "x" * 129),
        ("identifier", 5),
        ("language", "xx"),
        ("language", 5),
        ("language", ["en"]),
        ("number", 1.01),
        ("number", float("nan")),
        ("number", True),
        ("number", "1"),
        ("number", None),
        ("integer", 0),
        ("integer", 5.0),
        ("integer", True),
        ("integer", "5"),
        ("flag", 1),
        ("flag", "true"),
        ("choice", "mp3"),
        ("choice", None),
        ("choice", ["pcm16"]),
        ("choices", "fillers"),
        ("choices", ["nothing"]),
        ("choices", [["fillers"]]),
    ],
)
def test_what_json_may_not_say(kind: str, value: object) -> None:
    with pytest.raises(BadRequest) as error:
        READERS[kind](Fields({"name": value}, KNOWN, path="outer."))
    assert error.value.param == "outer.name"
    assert error.value.reason in ("invalid_parameter", "unsupported_language")


@pytest.mark.parametrize(
    ("kind", "text", "read"),
    [
        ("number", "0.25", 0.25),
        ("integer", "7", 7),
        ("flag", "0", False),
        ("flag", "true", True),
        ("choices", "fillers,prompt_echo", frozenset({Filter.FILLERS, Filter.PROMPT_ECHO})),
        ("choices", "", frozenset()),
        ("identifier", "12", "12"),
    ],
)
def test_what_a_query_may_say(kind: str, text: str, read: object) -> None:
    assert READERS[kind](Fields({"name": text}, KNOWN, is_query=True)) == read


@pytest.mark.parametrize(("kind", "text"), [("number", "x"), ("integer", "1.5"), ("flag", "maybe"), ("choices", "a,b")])
def test_what_a_query_may_not_say(kind: str, text: str) -> None:
    with pytest.raises(BadRequest):
        READERS[kind](Fields({"name": text}, KNOWN, is_query=True))


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ([], "invalid_parameter", None),
        ({"x" * 100: 1}, "unknown_parameter", "x" * 64),
        (MultiDict([("name", "1"), ("name", "2")]), "invalid_parameter", None),
    ],
)
def test_what_is_no_object_of_known_names(data: object, code: str, param: str | None) -> None:
    with pytest.raises(BadRequest) as error:
        Fields(data, KNOWN)
    assert (error.value.reason, error.value.param) == (code, param)


def test_an_object_within_names_its_path() -> None:
    fields = Fields({"name": {"inner": 1}}, KNOWN)
    assert "inner" in fields.nested("name", {"inner"})
    assert "inner" not in Fields({}, KNOWN).nested("name", {"inner"})
    with pytest.raises(BadRequest) as error:
        fields.nested("name", set())
    assert error.value.param == "name.inner"
    with pytest.raises(BadRequest) as error:
        Fields({"name": None}, KNOWN).nested("name", set())
    assert error.value.param == "name"


def test_what_is_not_supported_is_refused_unless_it_asks_for_nothing() -> None:
    cases: list[dict[str, object]] = [{}, {"name": None}, {"name": []}]
    for data in cases:
        Fields(data, KNOWN).refuse("name", [])
    with pytest.raises(BadRequest) as error:
        Fields({"name": [1]}, KNOWN).refuse("name", [])
    assert (error.value.reason, error.value.param) == ("unsupported_parameter", "name")
