"""Reads a client's JSON objects and query strings: each value is what it should be, or the error names it."""

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import TypeVar

from gateway.core.errors import BadRequest
from gateway.core.languages import LANGUAGE_NAMES, language_code

AnyStrEnum = TypeVar("AnyStrEnum", bound=StrEnum)

# What a refusal repeats of a client's own words.
MAX_NAME_CHARS = 64
FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False}
IDENTIFIER = r"[A-Za-z0-9_.:-]{1,128}"


class Fields:
    """One object of a client. Only `known` names may be in it; `path` stands before them in errors.

    Every reader returns its `default` where the name is absent, and raises BadRequest with `param`.
    """

    def __init__(self, data: object, known: Collection[str], *, path: str = "", is_query: bool = False) -> None:
        """`is_query`: numbers and flags are written as text, lists with commas."""
        self._path = path
        self._is_query = is_query
        if not isinstance(data, Mapping):
            raise BadRequest("This must be a JSON object.", code="invalid_parameter", param=path.rstrip(".") or None)
        self._values: Mapping[str, object] = data
        for name in data:
            if name not in known:
                param = path + str(name)[:MAX_NAME_CHARS]
                raise BadRequest("There is no such parameter.", code="unknown_parameter", param=param)
        if len(data) != len(set(data)):
            # A multidict counts every value, and names each name once.
            raise BadRequest("A parameter is given twice.", code="invalid_parameter")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def is_null(self, name: str) -> bool:
        """Whether the value is there, and is null."""
        return name in self._values and self._values[name] is None

    def nested(self, name: str, known: Collection[str]) -> "Fields":
        """The object under `name`; an empty one where there is none."""
        return Fields(self._values.get(name, {}), known, path=f"{self._path}{name}.")

    def text(self, name: str, default: str | None, *, max_chars: int) -> str | None:
        """A text; empty and null are None."""
        value = self._values.get(name, default)
        if value is not None and (not isinstance(value, str) or len(value) > max_chars):
            raise self.invalid(name, f"it must be a text of at most {max_chars} characters")
        return value or None

    def identifier(self, name: str, default: str | None) -> str | None:
        """A name of letters, digits and `_.:-`."""
        value = self._values.get(name, default)
        if value is not None and (not isinstance(value, str) or not re.fullmatch(IDENTIFIER, value)):
            raise self.invalid(name, "it must be 1 to 128 letters, digits or _.:-")
        return value

    def texts(self, name: str, default: tuple[str, ...], *, most: int, max_chars: int) -> tuple[str, ...]:
        """At most so many texts; null is none."""
        value = self._values.get(name, default)
        given = () if value is None else value
        if (
            not isinstance(given, list | tuple)
            or len(given) > most
            or not all(_is_text(each, max_chars) for each in given)
        ):
            raise self.invalid(name, f"it must be at most {most} texts of 1 to {max_chars} characters")
        return tuple(given)

    def languages(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """ISO codes that Whisper knows."""
        given = self.texts(name, default, most=len(LANGUAGE_NAMES), max_chars=MAX_NAME_CHARS)
        return tuple(dict.fromkeys(language_code(code, self._path + name) for code in given))

    def language(self, name: str, default: str | None) -> str | None:
        """An ISO code that Whisper knows; null, empty and "auto" are None: it will be detected."""
        value = self._values.get(name, default)
        code = value.strip().lower() if isinstance(value, str) else value
        if code in (None, "", "auto"):
            return None
        return language_code(code, self._path + name)

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A finite number from `low` to `high`."""
        value = self._value(name, default, float)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.invalid(name, f"it must be a number from {low:g} to {high:g}")
        return value

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._value(name, default, int)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.invalid(name, f"it must be a whole number from {low} to {high}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._value(name, default, FLAG_WORDS.__getitem__)
        if not isinstance(value, bool):
            raise self.invalid(name, "it must be true or false")
        return value

    def choice(self, name: str, default: AnyStrEnum) -> AnyStrEnum:
        """One of the values of an enumeration."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in set(type(default)):
            raise self.invalid(name, f"it must be one of {', '.join(type(default))}")
        return type(default)(value)

    def choices(self, name: str, default: frozenset[AnyStrEnum], kind: type[AnyStrEnum]) -> frozenset[AnyStrEnum]:
        """A list of values of an enumeration."""
        value = self._value(name, list(default), lambda text: text.split(",") if text else [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each in set(kind) for each in value):
            raise self.invalid(name, f"it must be a list of {', '.join(kind)}")
        return frozenset(kind(each) for each in value)

    def refuse(self, name: str, *accepted: object) -> None:
        """What this server can't do: any value but `accepted` (and null) is an error."""
        if name in self._values and self._values[name] not in (None, *accepted):
            message = "This is not supported with this value."
            raise BadRequest(message, code="unsupported_parameter", param=self._path + name)

    def _value(self, name: str, default: object, from_text: Callable[[str], object]) -> object:
        value = self._values.get(name, default)
        if self._is_query and isinstance(value, str):
            with suppress(ValueError, KeyError):
                return from_text(value)
        return value

    def invalid(self, name: str, why: str) -> BadRequest:
        """The error for the value of `name`."""
        param = self._path + name
        return BadRequest(f"Invalid value of {param}: {why}.", code="invalid_parameter", param=param)


def _is_text(value: object, max_chars: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= max_chars
