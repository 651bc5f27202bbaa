"""OpenAI's realtime client events, as commands."""

from base64 import b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, TritoneError
from gateway.core.live.session_config import SessionConfig
from gateway.core.wire.realtime_messages import Append, BufferCommand, RealtimeOptions, client_event_id, parse_event
from gateway.core.wire.stream_messages import Encoding

DEFAULTS = RealtimeOptions(model="base")


def update(**audio_input: object) -> dict[str, object]:
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}


def test_an_update_changes_what_it_names() -> None:
    event = update(
        format={"type": "audio/pcm", "rate": 16_000},
        noise_reduction=None,
        transcription={"model": "whisper-1", "language": "de", "prompt": "Ada", "keywords": ["Tritone"]},
        turn_detection={"type": "server_vad", "threshold": 0.8, "prefix_padding_ms": 100, "silence_duration_ms": 200},
    )
    options = parse_event(event, DEFAULTS)
    assert options == RealtimeOptions(
        model="whisper-1",
        language="de",
        prompt="Ada",
        keywords=("Tritone",),
        sample_rate_hz=16_000,
        threshold=0.8,
        prefix_padding_ms=100,
        silence_duration_ms=200,
    )
    assert parse_event({"type": "session.update", "event_id": "e", "session": {}}, options) == options
    assert parse_event(update(turn_detection={"silence_duration_ms": 300}), options) == replace(
        options, silence_duration_ms=300
    )


def test_the_client_may_cut_by_itself() -> None:
    manual = parse_event(update(turn_detection=None), DEFAULTS)
    assert manual == replace(DEFAULTS, server_vad=False)
    assert isinstance(manual, RealtimeOptions)
    assert not manual.session_config(SessionConfig(model="x")).endpointing
    assert parse_event(update(turn_detection={"type": "server_vad"}), manual) == DEFAULTS


def test_what_a_session_is_made_of() -> None:
    options = replace(
        DEFAULTS, threshold=0.6, prefix_padding_ms=120, silence_duration_ms=200, language="de", prompt="x"
    )
    config = options.session_config(SessionConfig(model="x", quality=True))
    cutting = config.segmenter
    assert (cutting.start_score, cutting.stop_score, cutting.pre_roll_ms) == (0.6, 0.3, 120)
    assert (cutting.silence_ms, cutting.post_roll_ms) == (200, 200)
    assert (config.model, config.options.language, config.options.prompt) == ("base", "de", "x")
    chosen = replace(DEFAULTS, languages=("de", "fr"), keywords=("Ada", "Bach")).session_config(config).options
    assert (chosen.language, chosen.languages, chosen.hotwords) == (None, ("de", "fr"), "Ada, Bach")
    assert (config.endpointing, config.quality) == (True, True)


@pytest.mark.parametrize(
    ("form", "encoding", "rate_hz"),
    [
        ({"type": "audio/pcm"}, Encoding.PCM16, 24_000),
        ({}, Encoding.PCM16, 24_000),
        ({"type": "audio/pcm", "rate": 48_000}, Encoding.PCM16, 48_000),
        ({"type": "audio/pcmu"}, Encoding.MULAW, 8_000),
        ({"type": "audio/pcma"}, Encoding.ALAW, 8_000),
    ],
)
def test_formats(form: dict[str, object], encoding: Encoding, rate_hz: int) -> None:
    options = parse_event(update(format=form), DEFAULTS)
    assert isinstance(options, RealtimeOptions)
    assert (options.encoding, options.sample_rate_hz) == (encoding, rate_hz)


def test_the_longest_silence_has_an_utterance_that_holds_it() -> None:
    config = replace(DEFAULTS, silence_duration_ms=10_000).session_config(SessionConfig(model="base"))
    assert config.segmenter.max_utterance_ms >= 20_000


def test_audio_and_commands() -> None:
    audio = b64encode(b"abc").decode()
    assert parse_event({"type": "input_audio_buffer.append", "audio": audio}, DEFAULTS) == Append(b"abc")
    assert parse_event({"type": "input_audio_buffer.commit"}, DEFAULTS) is BufferCommand.COMMIT
    assert parse_event({"type": "input_audio_buffer.clear", "event_id": "e"}, DEFAULTS) is BufferCommand.CLEAR


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ("x", "unknown_type", "type"),
        ({"type": "response.create"}, "unknown_type", "type"),
        ({"type": {}}, "unknown_type", "type"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "a*c="}, "invalid_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "ü"}, "invalid_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_parameter", "audio"),
        ({"type": "input_audio_buffer.commit", "x": 1}, "unknown_parameter", "x"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "unsupported_parameter", "session.type"),
        (
            {"type": "session.update", "session": {"include": ["item.input_audio_transcription.logprobs"]}},
            "unsupported_parameter",
            "session.include",
        ),
        (
            update(noise_reduction={"type": "near_field"}),
            "unsupported_parameter",
            "session.audio.input.noise_reduction",
        ),
        (update(transcription=None), "invalid_parameter", "session.audio.input.transcription"),
        (
            update(transcription={"language": "xx"}),
            "unsupported_language",
            "session.audio.input.transcription.language",
        ),
        (
            update(transcription={"languages": ["de", "xx"]}),
            "unsupported_language",
            "session.audio.input.transcription.languages",
        ),
        (
            update(transcription={"languages": ["de"], "language": "de"}),
            "invalid_parameter",
            "session.audio.input.transcription.languages",
        ),
        *(
            (
                update(transcription={"keywords": given}),
                "invalid_parameter",
                "session.audio.input.transcription.keywords",
            )
            for given in ("Ada", [""], ["a" * 65], ["a"] * 101, [5])
        ),
        ({"type": "session.update", "session": {"id": "another"}}, "unsupported_parameter", "session.id"),
        ({"type": "session.update", "session": {"object": "realtime"}}, "unsupported_parameter", "session.object"),
        (
            update(turn_detection={"type": "semantic_vad", "eagerness": "low"}),
            "unsupported_parameter",
            "session.audio.input.turn_detection.type",
        ),
        (update(format={"type": "audio/mp3"}), "invalid_parameter", "session.audio.input.format.type"),
        (update(format={"type": "audio/pcm", "rate": 32_000}), "invalid_parameter", "session.audio.input.format.rate"),
        (update(format={"type": "audio/pcmu", "rate": 24_000}), "invalid_parameter", "session.audio.input.format.rate"),
    ],
)
def test_what_is_wrong_is_named(data: object, code: str, param: str) -> None:
    with pytest.raises(BadRequest) as error:
        parse_event(data, DEFAULTS)
    assert (error.value.reason, error.value.param) == (code, param)


def test_the_session_object_is_taken_as_it_is_told() -> None:
    for options in (
        replace(DEFAULTS, language="de"),
        replace(DEFAULTS, languages=("de", "fr"), keywords=("Tritone", "Ada")),
        replace(DEFAULTS, server_vad=False, encoding=Encoding.MULAW, sample_rate_hz=8_000),
    ):
        wire = options.to_wire()
        assert parse_event({"type": "session.update", "session": wire}, DEFAULTS) == options


def test_the_clients_own_id() -> None:
    assert client_event_id({"event_id": "e" * 600}) == "e" * 512
    assert client_event_id({"event_id": 5}) is None
    assert client_event_id([]) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
inputs = st.dictionaries(st.sampled_from(["format", "transcription", "turn_detection", "noise_reduction"]), json_values)


@given(
    json_values
    | json_values.map(lambda audio: {"type": "input_audio_buffer.append", "audio": audio})
    | json_values.map(lambda session: {"type": "session.update", "session": session})
    | inputs.map(lambda given: update(**given))
)
def test_any_json_is_understood_or_a_bad_request(data: object) -> None:
    try:
        assert isinstance(parse_event(data, DEFAULTS), RealtimeOptions | Append | BufferCommand)
    except TritoneError as error:
        assert isinstance(error, BadRequest)
