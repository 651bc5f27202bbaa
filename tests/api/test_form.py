import pytest

from gateway.api.form import ResponseFormat, parse
from gateway.core.audio import DecodeOptions, Task
from gateway.core.errors import BadRequest

MODEL = ("model", "whisper-1")


def test_a_bare_form_leaves_everything_to_the_model() -> None:
    form = parse([MODEL], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert form.options == DecodeOptions()
    assert (form.model, form.response_format, form.vad_filter, form.timeout_s) == ("whisper-1", "json", True, None)


def test_every_supported_field_is_taken() -> None:
    fields = [
        MODEL,
        ("language", "haw"),
        ("prompt", "Ærø"),
        ("hotwords", "Tritone"),
        ("response_format", "verbose_json"),
        ("temperature", "0"),
        ("timestamp_granularities[]", "segment"),
        ("beam_size", "10"),
        ("vad_filter", "False"),
        ("no_speech_threshold", "0.6"),
        ("log_prob_threshold", "-1.0"),
        ("compression_ratio_threshold", "2.4"),
        ("timeout_s", "9.5"),
    ]
    form = parse(fields, task=Task.TRANSLATE, max_timeout_s=10)
    assert form.options == DecodeOptions(
        language="haw",
        task=Task.TRANSLATE,
        prompt="Ærø",
        hotwords="Tritone",
        beam_size=10,
        temperature=0.0,
        timestamps=True,
        no_speech_threshold=0.6,
        log_prob_threshold=-1.0,
        compression_ratio_threshold=2.4,
    )
    assert (form.response_format, form.vad_filter, form.timeout_s) == (ResponseFormat.VERBOSE_JSON, False, 9.5)


def test_openais_keywords_are_hotwords_and_its_languages_those_to_choose_from() -> None:
    lists = [("keywords[]", "Tritone"), ("keywords[]", " Ærø "), ("keywords[]", "")]
    languages = [("languages[]", "DE"), ("languages", "fr"), ("languages[]", "de"), ("languages[]", "")]
    form = parse([MODEL, ("hotwords", "Triton"), *lists, *languages], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert form.options == DecodeOptions(languages=("de", "fr"), hotwords="Triton, Tritone, Ærø")
    with pytest.raises(BadRequest) as refused:
        parse([MODEL, ("language", "de"), *languages], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert (refused.value.reason, refused.value.param) == ("invalid_parameter", "languages[]")


@pytest.mark.parametrize(
    ("name", "value"),
    [("stream", "false"), ("condition_on_previous_text", "false"), ("chunking_strategy", "auto")],
)
def test_what_changes_nothing_is_taken(name: str, value: str) -> None:
    parse([MODEL, (name, value)], task=Task.TRANSCRIBE, max_timeout_s=10)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("stream", "perhaps", "invalid_parameter"),
        ("condition_on_previous_text", "perhaps", "invalid_parameter"),
        ("timestamp_granularities[]", "syllable", "invalid_parameter"),
        ("timestamp_granularities[]", "word", "invalid_parameter"),
        ("chunking_strategy", "none", "unsupported_parameter"),
        ("chunking_strategy[type]", "server_vad", "unsupported_parameter"),
        ("hotwords[type]", "many", "unknown_parameter"),
        ("languages[0]", "de", "unknown_parameter"),
        ("languages[]", "german", "unsupported_language"),
        ("include[]", "logprobs", "unsupported_parameter"),
        ("colour", "red", "unknown_parameter"),
        ("language[]", "en", "unknown_parameter"),
        ("language", "english", "unsupported_language"),
        ("language", "xx", "unsupported_language"),
        ("model", "tiny.en", "invalid_parameter"),
        ("response_format", "xml", "invalid_parameter"),
        ("temperature", "1.01", "invalid_parameter"),
        ("temperature", "nan", "invalid_parameter"),
        ("temperature", "", "invalid_parameter"),
        ("beam_size", "0", "invalid_parameter"),
        ("beam_size", "2.5", "invalid_parameter"),
        ("beam_size", "inf", "invalid_parameter"),
        ("vad_filter", "perhaps", "invalid_parameter"),
        ("filters", "fillers,jokes", "invalid_parameter"),
        ("quality", "good", "invalid_parameter"),
        ("timeout_s", "10.1", "invalid_parameter"),
        ("timestamp_granularities[]", "sentence", "invalid_parameter"),
        ("timestamp_granularities[]", "segment", "invalid_parameter"),
    ],
)
def test_the_rest_is_refused_by_name(name: str, value: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse([MODEL, (name, value)], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert (caught.value.reason, caught.value.param) == (code, name)


def test_a_model_must_be_named() -> None:
    with pytest.raises(BadRequest) as caught:
        parse([], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert (caught.value.reason, caught.value.param) == ("missing_required_parameter", "model")


@pytest.mark.parametrize(("name", "value"), [("filters", "fillers"), ("quality", "true")])
@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_what_a_format_cant_tell_is_refused(name: str, value: str, response_format: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse([MODEL, ("response_format", response_format), (name, value)], task=Task.TRANSCRIBE, max_timeout_s=10)
    assert (caught.value.reason, caught.value.param) == ("invalid_parameter", name)


def test_filters_come_as_a_list_or_one_by_one() -> None:
    fields = [MODEL, ("filters", "fillers, repeated_tail"), ("filters[]", "prompt_echo"), ("quality", "true")]
    form = parse(fields, task=Task.TRANSCRIBE, max_timeout_s=10)
    assert form.filters == {"fillers", "repeated_tail", "prompt_echo"}
    assert form.quality
