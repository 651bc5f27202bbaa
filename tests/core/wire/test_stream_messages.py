"""The wire of /v1/stream, both ways."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.audio import CutReason, DecodeOptions, Filtered, Word
from gateway.core.errors import BadRequest, ModelUnavailable, TritoneError
from gateway.core.filters import Filter, Quality, QualityLevel
from gateway.core.live.effects import (
    AudioDropped,
    Backpressure,
    Closed,
    Errored,
    Failed,
    Final,
    Message,
    Partial,
    PressureAction,
    SpeechBegan,
    SpeechEnded,
)
from gateway.core.live.session_config import SessionConfig
from gateway.core.wire.stream_messages import (
    _WIRES,
    Encoding,
    Resume,
    StreamCommand,
    StreamOptions,
    error_message,
    message_to_wire,
    parse_message,
    parse_start,
    session_started,
)
from tests.core.live.drive import segment

DEFAULTS = StreamOptions(model="base")
FINAL = Final(
    index=3,
    text="hello",
    language="en",
    language_probability=0.9,
    start_ms=20,
    end_ms=180,
    reason=CutReason.SILENCE,
    latency_ms=42,
)


def test_a_query_chooses_everything() -> None:
    query = {
        "model": "tiny.en",
        "language": "en",
        "prompt": "Ada",
        "sample_rate": "8000",
        "encoding": "mulaw",
        "interim_results": "true",
        "silence_ms": "200",
        "max_utterance_ms": "10000",
        "word_timestamps": "1",
        "text_context": "true",
        "audio_context_ms": "500",
        "filters": "fillers",
        "quality": "true",
        "session_id": "mine",
    }
    options = parse_start(query, DEFAULTS, is_query=True)
    assert options == StreamOptions(
        model="tiny.en",
        language="en",
        prompt="Ada",
        sample_rate_hz=8_000,
        encoding=Encoding.MULAW,
        interim_results=True,
        silence_ms=200,
        max_utterance_ms=10_000,
        word_timestamps=True,
        text_context=True,
        audio_context_ms=500,
        filters=frozenset({Filter.FILLERS}),
        quality=True,
        session_id="mine",
    )
    config = options.session_config(SessionConfig(model="base"))
    assert config.options == DecodeOptions(language="en", prompt="Ada", timestamps=True, word_timestamps=True)
    assert (config.model, config.segmenter.silence_ms, config.segmenter.post_roll_ms) == ("tiny.en", 200, 200)
    assert (config.interim_results, config.text_context, config.audio_context_ms, config.quality) == (
        True,
        True,
        500,
        True,
    )


def test_nothing_chosen_is_the_default() -> None:
    assert parse_start({}, DEFAULTS, is_query=True) == DEFAULTS
    assert parse_start({"type": "configure"}, DEFAULTS, is_query=False) == DEFAULTS
    assert DEFAULTS.session_config(SessionConfig(model="x")) == SessionConfig(model="base", text_context=True)


def test_values_that_clash_name_the_field() -> None:
    options = replace(DEFAULTS, silence_ms=2_000, max_utterance_ms=1_000)
    with pytest.raises(BadRequest, match="max_utterance_ms: at least twice") as error:
        options.session_config(SessionConfig(model="base"))
    assert error.value.param == "max_utterance_ms"


def test_resuming() -> None:
    query = {"session_id": "s", "resume_token": "t"}
    resume = parse_start(query, DEFAULTS, is_query=True)
    assert isinstance(resume, Resume)
    assert (resume.session_id, resume.resume_token, resume.last_utterance) == ("s", "t", None)
    resume = parse_start({"type": "configure", **query, "last_utterance": 4}, DEFAULTS, is_query=False)
    assert isinstance(resume, Resume)
    assert resume.last_utterance == 4


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"resume_token": "t"}, "session_id"),
        ({"session_id": "s", "last_utterance": "4"}, "last_utterance"),
        ({"session_id": "s", "resume_token": "t", "sample_rate": "banana"}, "sample_rate"),
    ],
)
def test_what_makes_no_sense_of_resuming_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as error:
        parse_start(query, DEFAULTS, is_query=True)
    assert error.value.param == param


def test_a_session_that_is_resumed_keeps_its_options() -> None:
    query = {"session_id": "s", "resume_token": "t", "encoding": "mulaw", "silence_ms": "300"}
    resume = parse_start(query, DEFAULTS, is_query=True)
    assert isinstance(resume, Resume)
    resume.check(replace(DEFAULTS, encoding=Encoding.MULAW, silence_ms=300, language="de"))
    with pytest.raises(BadRequest, match="keeps its options"):
        resume.check(replace(DEFAULTS, encoding=Encoding.MULAW))


def test_configure_changes_what_it_names() -> None:
    current = replace(DEFAULTS, language="de", silence_ms=300)
    assert parse_message({"type": "configure", "language": None, "quality": True}, current) == replace(
        current, language=None, quality=True
    )


@pytest.mark.parametrize("command", StreamCommand)
def test_commands(command: StreamCommand) -> None:
    assert parse_message({"type": command.value}, DEFAULTS) is command


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ([], "type"),
        ("finalize", "type"),
        ({}, "type"),
        ({"type": "start"}, "type"),
        ({"type": 5}, "type"),
        ({"type": ["close"]}, "type"),
        ({"type": "close", "now": True}, "now"),
        ({"type": "configure", "session_id": "late"}, "session_id"),
        ({"type": "configure", "silence_ms": 99}, "silence_ms"),
        ({"type": "configure", "max_utterance_ms": 28_001}, "max_utterance_ms"),
        ({"type": "configure", "sample_rate": 96_000}, "sample_rate"),
        ({"type": "configure", "audio_context_ms": 2_001}, "audio_context_ms"),
    ],
)
def test_what_is_wrong_is_named(data: object, param: str) -> None:
    with pytest.raises(BadRequest) as error:
        parse_message(data, DEFAULTS)
    assert error.value.param == param


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["type", "language", "silence_ms", "filters", "encoding", "prompt", "model", "other"])


@given(json_values | st.dictionaries(names, json_values).map(lambda data: {"type": "configure", **data}))
def test_any_json_is_understood_or_a_bad_request(data: object) -> None:
    try:
        assert isinstance(parse_message(data, DEFAULTS), StreamOptions | StreamCommand)
    except TritoneError as error:
        assert isinstance(error, BadRequest)


def test_a_final_tells_what_was_asked_for() -> None:
    plain = message_to_wire(replace(FINAL, segments=(segment(" hello", 0.02, 0.18),)))
    assert plain == {
        "type": "final",
        "utterance": 3,
        "text": "hello",
        "language": "en",
        "start_ms": 20,
        "end_ms": 180,
        "segments": [
            {
                "text": "hello",
                "start_ms": 20,
                "end_ms": 180,
                "avg_logprob": -0.2,
                "compression_ratio": 1.2,
                "no_speech_prob": 0.01,
            }
        ],
        "reason": "silence",
        "latency_ms": 42,
    }
    rich = message_to_wire(
        replace(
            FINAL,
            words=(Word(" hello", 0.02, 0.18, 0.98765),),
            filtered=(Filtered("fillers", "um"),),
            quality=Quality(QualityLevel.DOUBTFUL, ("doubtful_confidence",)),
        )
    )
    assert rich is not None
    assert rich["words"] == [{"text": "hello", "start_ms": 20, "end_ms": 180, "probability": 0.9877}]
    assert rich["filtered"] == [{"reason": "fillers", "text": "um"}]
    assert rich["quality"] == {"level": "doubtful", "reason_codes": ["doubtful_confidence"]}


GONE = ModelUnavailable("gone")


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (SpeechBegan(0, 20), {"type": "speech.started", "at_ms": 20}),
        (SpeechEnded(0, 20, CutReason.CLOSE), None),
        (Partial(1, "a b", "a"), {"type": "partial", "utterance": 1, "text": "a b", "stable_text": "a"}),
        (
            Failed(2, GONE),
            {"type": "failed", "utterance": 2, "code": "model_unavailable", "message": "gone", "retryable": True},
        ),
        (
            Backpressure(PressureAction.PAUSE, 9),
            {"type": "backpressure", "action": "pause", "buffered_ms": 9},
        ),
        (AudioDropped(7), {"type": "warning", "code": "audio_dropped", "dropped_ms": 7}),
        (Errored(GONE), {"type": "error", "code": "model_unavailable", "message": "gone", "retryable": True}),
        (Closed(9, 1, 2, 3), {"type": "session.closed", "audio_ms": 9, "finals": 1, "failed": 2, "dropped_ms": 3}),
    ],
)
def test_messages(message: Message, wire: dict[str, object] | None) -> None:
    assert message_to_wire(message) == wire


def test_every_message_has_a_wire() -> None:
    assert set(_WIRES) == set(get_args(Message))


def test_the_first_message_and_an_error_with_its_parameter() -> None:
    assert session_started("s", "t", received_until_ms=5) == {
        "type": "session.started",
        "session_id": "s",
        "resume_token": "t",
        "received_until_ms": 5,
    }
    assert error_message(BadRequest("bad", param="model"))["param"] == "model"
