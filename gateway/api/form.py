"""What the fields of a transcription form mean: each is honoured or refused, none is ignored."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.core.audio import DecodeOptions, Task
from gateway.core.errors import BadRequest
from gateway.core.filters import Filter
from gateway.core.languages import language_code
from gateway.core.wire.bounds import DECODING, MIN_TIMEOUT_S, Bounds
from gateway.core.wire.fields import FLAG_WORDS, MAX_NAME_CHARS

# What can be said, by kind; `timeout_s` is bounded by a setting besides.
NUMBERS: Mapping[str, Bounds] = {**DECODING, "timeout_s": Bounds(MIN_TIMEOUT_S, math.inf)}
FLAGS: Mapping[str, bool] = {
    "stream": False,
    "vad_filter": True,
    "quality": False,
    "condition_on_previous_text": False,
}
TEXTS = frozenset({"model", "prompt", "hotwords"})
CHOICES = frozenset({"language", "response_format"})
LISTS = frozenset({"languages", "keywords", "timestamp_granularities", "filters"})
GRANULARITIES = ("segment", "word")
# What OpenAI's API knows and this server can't do yet; any value but these is refused.
UNSUPPORTED: Mapping[str, frozenset[str]] = {
    "chunking_strategy": frozenset({"auto"}),
    "include": frozenset(),
    "known_speaker_names": frozenset(),
    "known_speaker_references": frozenset(),
}
_KNOWN = NUMBERS.keys() | FLAGS.keys() | TEXTS | CHOICES | LISTS | UNSUPPORTED.keys()


class ResponseFormat(StrEnum):
    """What the transcript is answered as."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"


STREAMED = frozenset({ResponseFormat.JSON, ResponseFormat.TEXT})
TELLING = frozenset({ResponseFormat.JSON, ResponseFormat.VERBOSE_JSON})
WITH_TIMES = frozenset({ResponseFormat.SRT, ResponseFormat.VTT, ResponseFormat.VERBOSE_JSON})


@dataclass(frozen=True, slots=True)
class TranscriptionForm:
    """A form that was understood; `timeout_s` is None where the client left it to us.

    `quality`: it is to be told. `in_turn`: each utterance is prompted with the text of the one before.
    """

    model: str
    response_format: ResponseFormat
    options: DecodeOptions
    vad_filter: bool
    stream: bool
    timeout_s: float | None
    filters: frozenset[Filter] = frozenset()
    quality: bool = False
    in_turn: bool = False


def parse(fields: Iterable[tuple[str, str]], *, task: Task, max_timeout_s: float) -> TranscriptionForm:
    """The form, or BadRequest with the name of the first field that is wrong."""
    values = _Values(fields)
    if not (model := values.text("model")):
        raise BadRequest("The form names no model.", code="missing_required_parameter", param="model")
    response_format = values.response_format()
    values.check_granularities(response_format)
    options = DecodeOptions(
        language=values.language(),
        languages=values.languages(),
        task=task,
        prompt=values.text("prompt") or None,
        hotwords=values.hotwords(),
        beam_size=values.integer("beam_size"),
        patience=values.number("patience"),
        temperature=values.number("temperature"),
        timestamps=response_format in WITH_TIMES,
        word_timestamps="word" in values.lists["timestamp_granularities"],
        no_speech_threshold=values.number("no_speech_threshold"),
        log_prob_threshold=values.number("log_prob_threshold"),
        compression_ratio_threshold=values.number("compression_ratio_threshold"),
    )
    timeout_s = values.number("timeout_s", high=max_timeout_s)
    stream = values.flag("stream")
    if stream and response_format not in STREAMED:
        raise _invalid("stream", f"it needs the response format {' or '.join(sorted(STREAMED))}")
    vad_filter = values.flag("vad_filter")
    quality = values.flag("quality")
    filters = _filters(values.lists["filters"])
    for name, given in (("filters", filters), ("quality", quality)):
        if given and response_format not in TELLING:
            raise _invalid(name, f"it needs the response format {' or '.join(sorted(TELLING))}")
    return TranscriptionForm(
        model=model,
        response_format=response_format,
        options=options,
        vad_filter=vad_filter,
        stream=stream,
        timeout_s=timeout_s,
        filters=filters,
        quality=quality,
        in_turn=values.flag("condition_on_previous_text"),
    )


class _Values:
    """The fields by name, each read as what it should be."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {name: [] for name in LISTS}
        for given, value in fields:
            # A list's items come as `name[]`, an object's members as `name[member]`.
            name, bracket, _ = given.partition("[")
            if name in UNSUPPORTED and (bracket or value.strip().lower() not in UNSUPPORTED[name]):
                raise _unsupported(given[:MAX_NAME_CHARS])
            if name not in _KNOWN or (bracket and (name not in LISTS or given != f"{name}[]")):
                raise BadRequest("There is no such parameter.", code="unknown_parameter", param=given[:MAX_NAME_CHARS])
            if name in LISTS:
                self.lists[name].append(value)
            elif name in self._values:
                raise _invalid(name, "it is given twice")
            else:
                self._values[name] = value

    def text(self, name: str) -> str:
        return self._values.get(name, "").strip()

    def number(self, name: str, *, high: float = math.inf) -> float | None:
        if name not in self._values:
            return None
        bounds = NUMBERS[name]
        high = min(high, bounds.high)
        try:
            value = float(self._values[name])
        except ValueError:
            value = math.nan
        if not bounds.low <= value <= high or (bounds.whole and value != int(value)):
            kind = "whole number" if bounds.whole else "number"
            raise _invalid(name, f"it must be a {kind} from {bounds.low:g} to {high:g}")
        return value

    def integer(self, name: str) -> int | None:
        value = self.number(name)
        return None if value is None else int(value)

    def flag(self, name: str) -> bool:
        if name not in self._values:
            return FLAGS[name]
        if (text := self.text(name).lower()) not in FLAG_WORDS:
            raise _invalid(name, "it must be true or false")
        return FLAG_WORDS[text]

    def language(self) -> str | None:
        given = self.text("language")
        return language_code(given, "language") if given else None

    def languages(self) -> tuple[str, ...]:
        given = filter(str.strip, self.lists["languages"])
        languages = tuple(dict.fromkeys(language_code(code, "languages[]") for code in given))
        if languages and self.text("language"):
            raise _invalid("languages[]", "the language is given already")
        return languages

    def hotwords(self) -> str | None:
        """OpenAI's name for them is keywords."""
        given = (self.text("hotwords"), *map(str.strip, self.lists["keywords"]))
        return ", ".join(word for word in given if word) or None

    def response_format(self) -> ResponseFormat:
        text = self.text("response_format") or ResponseFormat.JSON
        if text not in set(ResponseFormat):
            raise _invalid("response_format", f"it must be one of {', '.join(ResponseFormat)}")
        return ResponseFormat(text)

    def check_granularities(self, response_format: ResponseFormat) -> None:
        param = "timestamp_granularities[]"
        for granularity in self.lists["timestamp_granularities"]:
            if granularity not in GRANULARITIES:
                raise _invalid(param, "it must be segment or word")
            if response_format is not ResponseFormat.VERBOSE_JSON:
                raise _invalid(param, "it needs the response format verbose_json")


def _filters(values: list[str]) -> frozenset[Filter]:
    """Each value is one or several with commas."""
    names = {name.strip() for name in ",".join(values).split(",") if name.strip()}
    if unknown := names - set(Filter):
        raise _invalid("filters", f"{len(unknown)} of them are none of {', '.join(Filter)}")
    return frozenset(map(Filter, names))


def _invalid(name: str, why: str) -> BadRequest:
    return BadRequest(f"Invalid value of {name}: {why}.", code="invalid_parameter", param=name)


def _unsupported(name: str) -> BadRequest:
    return BadRequest(f"{name} is not supported with this value yet.", code="unsupported_parameter", param=name)
