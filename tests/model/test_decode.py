"""The decoder with the real tiny.en and real speech."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import ctranslate2
import jiwer
import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray
from whisper_normalizer.english import EnglishTextNormalizer

from decode import Decoder
from guard import SAMPLED_HYPOTHESES, WIDER_FRAMES, Attempt, Hypothesis
from jobs import Job
from options import Options, RequestError
from tests.model.conftest import Answer, DecodeAll
from views import rows
from windows import MAX_FRAMES
from words import _timed_words

Speech = dict[str, NDArray[np.int16]]
MakeJob = Callable[..., Job]
normal = EnglishTextNormalizer()


def word_error_rate(words: dict[str, str], answers: dict[str, Any]) -> float:
    return float(
        jiwer.wer([normal(words[name]) for name in answers], [normal(answers[name]["text"]) for name in answers])
    )


def test_a_batch_of_different_lengths_gives_each_its_own_words(
    speech: Speech, words: dict[str, str], make_job: MakeJob, decode_all: DecodeAll
) -> None:
    jobs = {name: make_job(samples) for name, samples in speech.items()}
    groups: dict[int, list[Job]] = {}
    for job in jobs.values():
        groups.setdefault(job.attempt.frames, []).append(job)
    assert max(map(len, groups.values())) > 1
    answers = {job: answer for group in groups.values() for job, answer in decode_all(group).items()}
    assert word_error_rate(words, {name: answers[job] for name, job in jobs.items()}) < 0.05


def test_mixed_prompts_beams_and_timestamps_share_one_encode(
    speech: Speech, words: dict[str, str], make_job: MakeJob, decode_all: DecodeAll
) -> None:
    samples = speech["weather"]
    jobs = [
        make_job(samples),
        make_job(samples, prompt="Good morning."),
        make_job(samples, prompt="Good morning to all of you.", hotwords="weather"),
        make_job(samples, beam_size=1),
        make_job(samples, timestamps=True),
        make_job(samples, temperature=0.2),
    ]
    answers = decode_all(jobs)
    assert (
        word_error_rate(
            {str(n): words["weather"] for n in range(6)}, {str(n): answers[job] for n, job in enumerate(jobs)}
        )
        == 0
    )


def test_timestamps_cut_long_speech_into_phrases_in_order(
    speech: Speech, make_job: MakeJob, decode_all: DecodeAll
) -> None:
    pause = np.zeros(16000, np.int16)
    job = make_job(np.concatenate([speech["doctor"], pause, speech["river"]]), timestamps=True)
    segments = decode_all([job])[job]["segments"]  # type: ignore[index]  # an error would fail right here
    times = [time for segment in segments for time in (segment["start_s"], segment["end_s"])]
    assert len(segments) >= 2
    assert times == sorted(times)
    assert times[-1] <= job.duration_s


def test_words_have_times_inside_the_speech_and_make_up_the_text(
    speech: Speech, make_job: MakeJob, decode_all: DecodeAll
) -> None:
    names = ["weather", "doctor", "river"]
    jobs = [make_job(speech[name], word_timestamps=True) for name in names]
    for job, answer in decode_all(jobs).items():
        assert isinstance(answer, dict)
        found = [word for segment in answer["segments"] for word in segment["words"]]
        assert "".join(word["text"] for word in found).strip() == answer["text"]
        starts = [word["start_s"] for word in found]
        assert starts == sorted(starts)
        assert all(0 <= word["start_s"] <= word["end_s"] <= job.duration_s + 0.1 for word in found)
        assert all(0 < word["probability"] <= 1 for word in found)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(48000, np.int16), np.full(160, 20, np.int16)])
def test_silence_is_empty_and_costs_nothing(
    samples: NDArray[np.int16], make_job: MakeJob, decode_all: DecodeAll
) -> None:
    job = make_job(samples, word_timestamps=True)
    answer = decode_all([job])[job]
    assert isinstance(answer, dict)
    assert (answer["text"], answer["segments"], job.hypotheses) == ("", [], [])


@pytest.mark.parametrize("name", ["prompt", "hotwords"])
def test_control_tokens_in_a_prompt_are_words_and_break_nobodys_batch(
    speech: Speech, words: dict[str, str], make_job: MakeJob, decode_all: DecodeAll, name: str
) -> None:
    samples = speech["weather"]
    hostile = make_job(samples, **{name: "<|startoftranscript|><|endoftext|>"})
    others = [make_job(samples, prompt="Good day. " * length) for length in range(1, 6)]
    neighbours = [job for job in others if len(job.previous_tokens) == len(hostile.previous_tokens)]
    neighbours += [make_job(samples, prompt=" a" * len(hostile.previous_tokens)), make_job(samples)]
    answers = decode_all([hostile, *neighbours])
    assert word_error_rate({"weather": words["weather"]}, {"weather": answers[neighbours[-1]]}) < 0.1
    assert all(isinstance(answers[job], dict) for job in (hostile, *neighbours))
    assert not set(hostile.previous_tokens) & {50256, 50257}


@pytest.mark.parametrize("length", [1, 160, 319, 320, 639])
def test_words_in_less_than_two_steps_have_times_inside_them(
    speech: Speech, make_job: MakeJob, decode_all: DecodeAll, length: int
) -> None:
    # Whatever is heard in so little is taken.
    loose = {"no_speech_threshold": 1.0, "log_prob_threshold": -100.0, "word_timestamps": True}
    clips = [speech[name][at : at + length] for name in speech for at in (8_000, 16_000)]
    for answer in decode_all([make_job(clip, **loose) for clip in clips]).values():
        assert isinstance(answer, dict)
        times = [
            word[edge] for segment in answer["segments"] for word in segment["words"] for edge in ("start_s", "end_s")
        ]
        assert all(time_s >= 0 for time_s in times)


def test_words_of_noise_do_not_crash(make_job: MakeJob, decode_all: DecodeAll) -> None:
    noise = np.random.default_rng(3).integers(-300, 300, 1600).astype(np.int16)
    job = make_job(noise, word_timestamps=True, timestamps=True)
    assert isinstance(decode_all([job])[job], dict)


def test_the_broken_the_cancelled_and_the_late_leave_five_good_answers(
    speech: Speech, words: dict[str, str], make_job: MakeJob, decode_all: DecodeAll
) -> None:
    good = [make_job(speech[name]) for name in ("weather", "doctor", "river", "weather", "doctor")]
    cancelled, late = make_job(speech["weather"], cancelled=True), make_job(speech["weather"], deadline_unix_ms=1)
    with pytest.raises(RequestError) as broken:
        make_job(speech["weather"], prompt="too long " * 224)
    answers = decode_all([*good[:2], cancelled, *good[2:4], late, good[4]])
    assert broken.value.code == "prompt_too_long"
    assert [_code(answers[cancelled]), _code(answers[late])] == ["cancelled", "deadline_exceeded"]
    said = ["weather", "doctor", "river", "weather", "doctor"]
    assert word_error_rate(
        {str(n): words[name] for n, name in enumerate(said)}, {str(n): answers[job] for n, job in enumerate(good)}
    ) < 0.05  # fmt: skip


def test_what_looks_wrong_is_tried_in_wider_windows_and_then_hotter(
    decoder: Decoder, speech: Speech, make_job: MakeJob
) -> None:
    impossible = make_job(speech["weather"], compression_ratio_threshold=0.1)
    sound = make_job(speech["doctor"])
    first_frames = impossible.attempt.frames
    attempts = []
    batch = [impossible, sound]
    for _ in range(8):
        outcomes = dict(decoder.decode(batch))
        outcome = outcomes[impossible]
        if not isinstance(outcome, Attempt):
            break
        attempts.append((outcome.frames, outcome.temperature))
        assert (impossible.encoded is not None) == (len(attempts) > 2), "a ladder round reuses the encoding"
        impossible.attempt, batch = outcome, [impossible]
    wider = first_frames + WIDER_FRAMES
    assert attempts == [(wider, 0.0), *((MAX_FRAMES, t) for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0))]
    assert len(impossible.hypotheses) == 8
    assert isinstance(outcome, dict)
    assert "weather" in outcome["text"]


def test_what_looks_wrong_and_is_wanted_once_is_answered_without_its_text(
    decoder: Decoder, speech: Speech, make_job: MakeJob
) -> None:
    impossible = make_job(speech["weather"], compression_ratio_threshold=0.1, once=True)
    sound = make_job(speech["doctor"], once=True)
    answers = dict(decoder.decode([impossible, sound]))
    answer, other = answers[impossible], answers[sound]
    assert isinstance(answer, dict)
    assert isinstance(other, dict)
    assert (answer["text"], answer["segments"], answer["filtered"]["reason"]) == ("", [], "unsure")
    assert "weather" in answer["filtered"]["text"]
    assert "doctor" in other["text"]


def test_a_prompt_at_the_limit_is_taken(speech: Speech, make_job: MakeJob, decode_all: DecodeAll) -> None:
    job = make_job(speech["weather"], prompt=" ".join(["a"] * 224))
    assert len(job.previous_tokens) == 224
    assert isinstance(decode_all([job])[job], dict)


def test_a_language_without_a_token_is_refused(
    decoder: Decoder, speech: Speech, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "multilingual", True)
    for asked in ({"language": "yue"}, {"languages": ("de", "yue")}):
        with pytest.raises(RequestError) as refused:
            make_job(speech["weather"], **asked)
        assert (refused.value.code, refused.value.param) == ("unsupported_language", "language")
    assert make_job(speech["weather"], language="de").language == "de"


def test_languages_are_detected_for_those_who_ask_and_from_their_list(
    decoder: Decoder, speech: Speech, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    class Polyglot:
        is_multilingual = True

        def detect_language(self, encoded: ctranslate2.StorageView) -> list[list[tuple[str, float]]]:
            heard.append(encoded.shape[0])
            return [[("<|de|>", 0.6), ("<|nl|>", 0.3), ("<|en|>", 0.1)]] * encoded.shape[0]

    monkeypatch.setattr(decoder, "_model", Polyglot())
    open_, told, curious, listed = jobs = [
        make_job(speech["weather"], **asked)
        for asked in (
            {"language": None},
            {"language": "en"},
            {"language": "en", "language_probabilities": True},
            {"language": None, "languages": ("en", "nl")},
        )
    ]
    decoder._detect_languages(jobs, ctranslate2.StorageView.from_array(np.zeros((4, 1), np.float32)))
    # All that ask at once, and the one that was told and asks for nothing is left out.
    assert heard == [3]
    assert [job.language for job in jobs] == ["de", "en", "en", "nl"]
    assert (open_.language_probability, curious.language_probability, listed.language_probability) == (0.6, 0.1, 0.3)
    assert curious.language_probabilities == {"de": 0.6, "nl": 0.3, "en": 0.1}
    assert not told.language_probabilities


@pytest.mark.parametrize("token", [51_864 * 2, -2, 2_000_000_000, 99_999_999_999])
def test_a_token_that_there_is_not_can_not_be_suppressed(speech: Speech, make_job: MakeJob, token: int) -> None:
    with pytest.raises(RequestError, match="suppress_tokens"):
        make_job(speech["weather"], suppress_tokens=(-1, token))


def test_what_is_asked_for_reaches_the_search(
    decoder: Decoder, speech: Speech, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[int], dict[str, Any]]] = []

    class Spy:
        n_mels = decoder._model.n_mels
        is_multilingual = decoder._model.is_multilingual
        encode = staticmethod(decoder._model.encode)

        def generate(self, encoded: object, prompts: list[list[int]], **options: Any) -> list[Any]:
            asked.extend((prompt, options) for prompt in prompts)
            return list(generate(encoded, prompts, **options))

    generate = decoder._model.generate
    monkeypatch.setattr(decoder, "_model", Spy())
    job = make_job(speech["weather"], prompt="Good morning.", hotwords="Ada", beam_size=3, patience=2.0,
                   suppress_tokens=(-1, 7))  # fmt: skip
    hot = make_job(speech["weather"], temperature=0.4)
    assert len(list(decoder.decode([job, hot]))) == 2
    (prompt, searched), (_, sampled) = asked
    words = decoder._tokens.decode(prompt[1 : prompt.index(decoder._tokenizer(job).sot)])
    assert words == " Ada Good morning."
    assert (searched["beam_size"], searched["patience"], searched["suppress_tokens"]) == (3, 2.0, [-1, 7])
    assert (sampled["sampling_temperature"], sampled["num_hypotheses"]) == (0.4, SAMPLED_HYPOTHESES)


def test_the_whole_window_may_be_asked_for(speech: Speech, make_job: MakeJob) -> None:
    assert make_job(speech["weather"], full_window=True).attempt.frames == MAX_FRAMES


def test_each_has_its_own_cap_in_company(
    decoder: Decoder, speech: Speech, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Verbose:
        is_multilingual = False

        def generate(self, _: object, prompts: list[list[int]], **options: object) -> list[SimpleNamespace]:
            said = SimpleNamespace(sequences_ids=[[13] * 30], scores=[-0.1], no_speech_prob=0.0)
            return [said] * len(prompts)

    monkeypatch.setattr(decoder, "_model", Verbose())
    jobs = [make_job(speech["weather"][:16_000]), make_job(speech["weather"])]
    hypotheses = decoder._generate(jobs, ctranslate2.StorageView.from_array(np.zeros((2, 1), np.float32)))
    assert [hypothesis.reached_cap for hypothesis in hypotheses] == [True, False]


def test_a_text_that_was_cut_off_says_so(decoder: Decoder, speech: Speech, make_job: MakeJob) -> None:
    whole = Hypothesis((13,), ".", 0.0, -0.1, 1.0, 0.0, reached_cap=False)
    job = make_job(speech["weather"])
    assert "filtered" not in decoder._finish(job, whole)
    assert decoder._finish(job, replace(whole, reached_cap=True))["filtered"] == {"reason": "cut_off", "text": ""}


@pytest.mark.parametrize("language", ["ja", "zh", "th", "km"])
def test_a_translation_is_english_whatever_was_spoken(decoder: Decoder, language: str) -> None:
    tokenizer = Tokenizer(decoder._tokens, True, task="translate", language=language)
    tokens = decoder._tokens.encode(" Printing in Scotland", add_special_tokens=False).ids
    alignment = SimpleNamespace(
        alignments=[(n, n) for n in range(len(tokens) + 1)], text_token_probs=[1.0] * (len(tokens) + 1)
    )
    assert [word["word"] for word in _timed_words(tokenizer, tokens, alignment)] == [" Printing", " in", " Scotland"]


def test_words_without_spaces_have_their_own_times(decoder: Decoder) -> None:
    tokenizer = Tokenizer(decoder._tokens, multilingual=True, task="transcribe", language="km")
    tokens = tokenizer.encode("ខ្មែរខ្មែរ")
    alignment = SimpleNamespace(
        alignments=[(number, number) for number in range(len(tokens) + 1)], text_token_probs=[1.0] * len(tokens)
    )
    words = _timed_words(tokenizer, tokens, alignment)
    assert len(words) > 4
    assert "".join(word["word"] for word in words) == "ខ្មែរខ្មែរ"


def test_what_numpy_has_no_type_for_is_converted() -> None:
    ones = ctranslate2.StorageView.from_array(np.ones((2, 3), np.float32))
    assert np.array_equal(rows(ones.to(ctranslate2.DataType.bfloat16), [1]), np.ones((1, 3)))


def test_more_than_thirty_seconds_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(RequestError, match="at most 30 seconds"):
        make_job(np.zeros(480_001, np.int16))


def test_the_canary_is_a_real_decode_in_the_smallest_window(decoder: Decoder, decode_all: DecodeAll) -> None:
    noise = np.random.default_rng(0).integers(-300, 300, 8000).astype(np.int16)
    job = decoder.job(
        noise, Options(language="en", canary=True), is_cancelled=lambda: False, reply=lambda outcome: None
    )
    assert isinstance(decode_all([job])[job], dict)
    assert len(job.hypotheses) == 1


def _code(answer: Answer) -> str:
    return answer.code if isinstance(answer, RequestError) else ""
