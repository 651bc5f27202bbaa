import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from gateway.core.languages import LANGUAGE_NAMES
from options import Options, RequestError, parse_options


def test_nothing_asked_is_the_defaults() -> None:
    assert parse_options({}, multilingual=True) == Options()


def test_an_english_model_is_not_asked_for_the_language() -> None:
    assert parse_options({}, multilingual=False).language == "en"


def test_next_to_no_temperature_is_none() -> None:
    assert parse_options({"temperature": 1e-40}, multilingual=True).temperature is None


def test_everything_asked_is_kept() -> None:
    parameters = {
        "language": "de", "task": "translate", "prompt": " so ", "hotwords": "Tritone", "beam_size": 3, "patience": 2.0,
        "temperature": 0.4,
        "timestamps": True, "word_timestamps": True, "language_probabilities": True, "no_speech_threshold": 0.5,
        "log_prob_threshold": -2, "compression_ratio_threshold": 3, "window": "full", "deadline_unix_ms": 7,
        "suppress_tokens": "-1,5",
        "languages": "de, fr", "canary": False,
    }  # fmt: skip
    assert parse_options(parameters, multilingual=True) == Options(
        language="de", task="translate", prompt="so", hotwords="Tritone", beam_size=3, patience=2.0, temperature=0.4,
        timestamps=True, word_timestamps=True, language_probabilities=True, no_speech_threshold=0.5,
        log_prob_threshold=-2, compression_ratio_threshold=3, full_window=True, deadline_unix_ms=7,
        suppress_tokens=(-1, 5), languages=("de", "fr"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "multilingual", "code", "param"),
    [
        ({"language": "xx"}, True, "unsupported_language", "language"),
        ({"language": "de"}, False, "unsupported_language", "language"),
        ({"languages": "en,xx"}, True, "unsupported_language", "language"),
        ({"task": "sing"}, True, "invalid_parameter", "task"),
        ({"task": "translate"}, False, "unsupported_parameter", "model"),
        ({"beam_size": 0}, True, "invalid_parameter", "beam_size"),
        ({"beam_size": 11}, True, "invalid_parameter", "beam_size"),
        ({"patience": 0.5}, True, "invalid_parameter", "patience"),
        ({"beam_size": True}, True, "invalid_parameter", "beam_size"),
        ({"temperature": "hot"}, True, "invalid_parameter", "temperature"),
        ({"prompt": 5}, True, "invalid_parameter", "prompt"),
        ({"timestamps": 1}, True, "invalid_parameter", "timestamps"),
        ({"window": "small"}, True, "invalid_parameter", "window"),
        ({"suppress_tokens": "a"}, True, "invalid_parameter", "suppress_tokens"),
        ({"colour": "blue"}, True, "unsupported_parameter", "colour"),
    ],
)
def test_what_cant_be_honoured_is_refused_by_name(
    parameters: dict[str, object], multilingual: bool, code: str, param: str
) -> None:
    with pytest.raises(RequestError) as refused:
        parse_options(parameters, multilingual=multilingual)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_the_languages_of_the_gateway_are_whispers() -> None:
    assert set(LANGUAGE_NAMES) == set(_LANGUAGE_CODES)
