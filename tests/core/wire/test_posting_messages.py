"""The wire of /utterance and /reset, both ways."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audio import CutReason, Filtered, Word
from gateway.core.errors import BadRequest
from gateway.core.live.effects import Final
from gateway.core.segmenter import SegmenterConfig
from gateway.core.wire.posting_messages import Heard, Posted, Reset, heard_to_wire, parse_posted, parse_reset
from tests.core.live.drive import segment

FINAL = Final(
    index=0,
    text="Hello.",
    language="en",
    language_probability=0.8,
    start_ms=0,
    end_ms=1000,
    reason=CutReason.CLOSE,
    latency_ms=1,
)


def posted(**fields: Any) -> Posted:
    data = {"audio": "AAAA", **fields}
    return parse_posted(data, model="base", formats=("wav",), max_timeout_s=60)


def wire(*finals: Final, **fields: Any) -> dict[str, Any]:
    spans = [(final.start_ms * 16, final.end_ms * 16) for final in finals]
    return heard_to_wire(Heard(spans, finals, 3.0), posted(**fields), "j")


def test_what_is_not_said_is_left_to_us() -> None:
    given = posted(job_id=None, temperature=None, session_id=None)
    assert given == posted()
    assert (given.audio_format, given.sample_rate_hz, given.model) == ("pcm16", 16_000, "base")
    assert not (given.use_audio_context or given.use_text_context or given.in_turn)
    config = given.session_config(SegmenterConfig())
    assert (config.segmenter, config.audio_context_ms, config.keeps_text) == (SegmenterConfig(), 0, False)


def test_a_session_has_context_and_padding_its_silence() -> None:
    config = posted(session_id="a", padding_ms=900).session_config(SegmenterConfig())
    assert (config.audio_context_ms, config.text_context, config.keeps_text) == (0, True, True)
    with_audio = posted(session_id="a", use_context_buffer=True).session_config(SegmenterConfig())
    assert with_audio.audio_context_ms == 2_000
    segmenter = config.segmenter
    assert (segmenter.pre_roll_ms, segmenter.post_roll_ms, segmenter.silence_ms) == (900, 900, 900)
    with pytest.raises(BadRequest) as error:
        posted(padding_ms=900).session_config(SegmenterConfig(max_utterance_ms=1_500))
    assert error.value.param == "padding_ms"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": None}, "audio"),
        ({"audio_format": "midi"}, "audio_format"),
        ({"src_lang": "de", "language": "en"}, "language"),
        ({"use_text_context": True}, "use_text_context"),
        ({"patience": 5}, "patience"),
        ({"timeout_s": 61}, "timeout_s"),
    ],
)
def test_what_cant_be_honoured_names_itself(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as error:
        posted(**fields)
    assert error.value.param == param


def test_a_request_is_an_object() -> None:
    with pytest.raises(BadRequest):
        parse_posted([], model="base", formats=(), max_timeout_s=1)


def test_reset_forgets_all_unless_told_otherwise() -> None:
    assert parse_reset({"session_id": "a"}) == Reset(session_id="a", audio=True, text=True)
    kept = parse_reset({"session_id": "a", "reset_context": False, "reset_text_context": False})
    assert kept == Reset(session_id="a", audio=False, text=False)
    with pytest.raises(BadRequest) as error:
        parse_reset({})
    assert error.value.param == "session_id"


def test_nothing_said_has_no_language() -> None:
    told = wire()
    assert (told["language"], told["language_probability"], told["language_probabilities"]) == (None, None, {})
    assert (told["text"], told["vad_segments"], told["duration"]) == ("", [], 3.0)
    skipped = replace(FINAL, text="", language=None, language_probability=0.0, filtered=(Filtered("too_quiet", ""),))
    assert wire(skipped)["language"] is None
    assert wire(skipped)["filtered"] == [{"reason": "too_quiet", "text": ""}]
    assert wire(src_lang="de")["language"] == "de"


def test_languages_are_weighted_by_what_was_said_in_them() -> None:
    found = replace(FINAL, language_probabilities={"en": 0.7, "de": 0.3})
    longer = replace(FINAL, language="de", start_ms=1_000, end_ms=4_000, language_probabilities={"en": 0.1, "de": 0.9})
    told = wire(found, longer, sample_rate=8_000)
    assert told["language_probabilities"] == {"en": 0.25, "de": 0.75}
    assert (told["language"], told["language_probability"]) == ("de", 0.75)
    assert told["vad_segments"] == [[0, 8_000], [8_000, 32_000]]
    assert told["text"] == "Hello. Hello."
    assert wire(FINAL)["language_probabilities"] == {"en": 0.8}


def test_segments_words_and_quality_are_told_where_they_are_wanted() -> None:
    spoken = replace(segment("Hello."), words=(Word(" Hello.", 0.1, 0.5, 0.98765),))
    final = replace(FINAL, segments=(spoken,))
    told = wire(final)["segments"][0]
    assert set(told) == {"text", "start", "end", "no_speech_prob", "avg_logprob"}
    words = wire(final, word_timestamps=True)["segments"][0]["words"]
    assert words == [{"word": "Hello.", "start": 0.1, "end": 0.5, "probability": 0.9877}]
    assert wire(final, quality=True)["quality"]["level"] == "good"
