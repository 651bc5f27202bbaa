"""Whisper over CTranslate2: one encode for a batch, one generate for each prompt shape, and a verdict for each job."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import ctranslate2
import numpy as np
import tokenizers
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray

from features import LogMel
from guard import SAMPLED_HYPOTHESES, Attempt, Hypothesis, best_of, is_silence, looks_wrong, next_attempt, nobody_speaks
from jobs import Job
from layout import Layout
from options import MAX_PROMPT_TOKENS, Options, RequestError
from transcript import compression_ratio, result_of, segments_of
from unsaid import unsaid_from_s, whole_of
from views import joined, rows, view
from windows import (
    CANARY_FRAMES,
    FRAMES_PER_S,
    MAX_FRAMES,
    MAX_SAMPLES,
    SAMPLES_PER_FRAME,
    window_frames,
)
from words import add_words

LONGEST_CONTEXT_TOKENS = 448

LEAST_ALIGNED_FRAMES = 4
"""CTranslate2 aligns to steps of two frames; in fewer than two of them words have no times, or negative ones."""

SILENCE_PEAK = 33
"""Samples that never pass -60 dBFS hold no speech; Whisper would make some up."""

Outcome: TypeAlias = "dict[str, Any] | RequestError | Attempt"
"""The result, why there is none, or how to try again."""


class Decoder:
    """The loaded model. Its methods may be called from as many threads as the layout has workers."""

    def __init__(self, weights: Path, layout: Layout) -> None:
        self._model = ctranslate2.models.Whisper(
            str(weights),
            device=layout.device,
            device_index=layout.device_index,
            compute_type=layout.compute_type,
            inter_threads=layout.workers if layout.device == "cpu" else 1,
            intra_threads=layout.threads_per_worker,
        )
        self._tokens = tokenizers.Tokenizer.from_file(str(weights / "tokenizer.json"))
        # A prompt is words: what looks like a control token would change the shape that a batch shares.
        self._tokens.encode_special_tokens = True
        self._log_mel = LogMel(self._model.n_mels)
        self._max_encode = layout.max_encode
        self._window_step_frames = layout.window_step_frames

    @property
    def multilingual(self) -> bool:
        """Whether the model knows more than English."""
        return bool(self._model.is_multilingual)

    def job(
        self,
        samples: NDArray[np.int16],
        options: Options,
        *,
        is_cancelled: Callable[[], bool],
        reply: "Callable[[dict[str, Any] | RequestError], None]",
    ) -> Job:
        """A job for int16 samples of shape (n,), 16 kHz; raises RequestError for what can't be served."""
        if len(samples) > MAX_SAMPLES:
            raise RequestError("audio_too_long", "an utterance is at most 30 seconds")
        self._check_languages(options)
        self._check_suppressed(options)
        return Job(
            samples=samples,
            options=options,
            previous_tokens=self._previous_tokens(options),
            attempt=self._first_attempt(samples, options),
            arrived_s=time.monotonic(),
            is_cancelled=is_cancelled,
            reply=reply,
            language=options.language,
        )

    def _first_attempt(self, samples: NDArray[np.int16], options: Options) -> Attempt:
        frames = window_frames(len(samples), self._window_step_frames, urgent=options.urgent)
        if options.canary or options.full_window:
            frames = CANARY_FRAMES if options.canary else MAX_FRAMES
        return Attempt(frames, options.temperature or 0.0)

    def _check_suppressed(self, options: Options) -> None:
        """CTranslate2 writes where a token's score would be, whether or not there is such a token."""
        size = self._tokens.get_vocab_size()
        if not all(token == -1 or 0 <= token < size for token in options.suppress_tokens):
            message = f"suppress_tokens are -1 or 0 to {size - 1}"
            raise RequestError("invalid_parameter", message, "suppress_tokens")

    def _check_languages(self, options: Options) -> None:
        """Weights know different languages. Without its token a prompt is shorter, and would break a whole batch."""
        for code in (options.language, *options.languages):
            if self.multilingual and code and self._tokens.token_to_id(f"<|{code}|>") is None:
                raise RequestError("unsupported_language", f"this model does not know '{code}'", "language")

    def decode(self, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
        """Each job with its outcome, as soon as its part of the batch is done. All share one window."""
        speaking = [job for job in jobs if np.abs(job.samples, dtype=np.int32).max(initial=0) >= SILENCE_PEAK]
        for job in jobs:
            if job not in speaking:
                yield job, whole_of(job, result_of(job, None, []))
        if not speaking:
            return
        encoded = self._encode(speaking)
        self._detect_languages(speaking, encoded)
        shapes: dict[tuple[object, ...], list[int]] = {}
        for index, job in enumerate(speaking):
            if error := job.abandoned(time.time() * 1000):
                yield job, error
            else:
                shapes.setdefault(job.shape, []).append(index)
        for indices in shapes.values():
            yield from self._decode_shape([speaking[index] for index in indices], rows(encoded, indices))

    def _decode_shape(self, jobs: list[Job], encoded: ctranslate2.StorageView) -> Iterator[tuple[Job, Outcome]]:
        accepted: list[tuple[int, Hypothesis]] = []
        for index, (job, hypothesis) in enumerate(zip(jobs, self._generate(jobs, encoded), strict=True)):
            job.hypotheses.append(hypothesis)
            retry = None
            if not job.options.canary and looks_wrong(hypothesis, job.options, job.duration_s, job.attempt.frames):
                if job.attempt.frames == MAX_FRAMES and nobody_speaks(hypothesis, job.options):
                    yield job, whole_of(job, result_of(job, hypothesis, []))
                    continue
                if job.options.once:
                    unsure = {"filtered": {"reason": "unsure", "text": hypothesis.text}}
                    yield job, whole_of(job, result_of(job, hypothesis, []) | unsure)
                    continue
                retry = next_attempt(job.attempt, job.options, hypothesis)
            if retry is None:
                accepted.append((index, self._choose(job)))
                continue
            job.encoded = rows(encoded, [index]) if retry.frames == job.attempt.frames else None
            yield job, retry
        timed = [(index, hypothesis) for index, hypothesis in accepted if jobs[index].options.word_timestamps]
        told = ((jobs[index], self._finish(jobs[index], hypothesis)) for index, hypothesis in accepted
                if not jobs[index].options.word_timestamps)  # fmt: skip
        chosen = {jobs[index]: hypothesis for index, hypothesis in accepted}
        for job, result in chain(told, self._align(jobs, timed, encoded)):
            yield job, self._whole_or_rest(job, chosen[job], result)

    def _whole_or_rest(self, job: Job, hypothesis: Hypothesis, result: dict[str, Any]) -> Outcome:
        """The result with what was said before it, or how to hear what it left unsaid."""
        whole = whole_of(job, result)
        from_s = self._unsaid_from_s(job, hypothesis)
        if from_s is None or not result["segments"]:
            return whole
        job.said = whole["segments"]
        job.samples = job.samples[round(from_s * FRAMES_PER_S) * SAMPLES_PER_FRAME :]
        job.start_s += from_s
        job.hypotheses, job.encoded = [], None
        return replace(self._first_attempt(job.samples, job.options), is_rest=True)

    def _unsaid_from_s(self, job: Job, hypothesis: Hypothesis) -> float | None:
        return unsaid_from_s(hypothesis, self._tokenizer(job).timestamp_begin, job.duration_s)

    def _choose(self, job: Job) -> Hypothesis:
        last = job.hypotheses[-1]
        is_wrong = looks_wrong(last, job.options, job.duration_s, job.attempt.frames)
        return best_of(job.hypotheses, job.options) if is_wrong else last

    def _finish(self, job: Job, hypothesis: Hypothesis) -> dict[str, Any]:
        if is_silence(hypothesis, job.options):
            return result_of(job, hypothesis, [])
        result = result_of(job, hypothesis, segments_of(hypothesis, self._tokenizer(job), job.duration_s))
        if hypothesis.reached_cap and result["segments"]:
            result["filtered"] = {"reason": "cut_off", "text": ""}
        return result

    def _align(
        self, jobs: list[Job], timed: list[tuple[int, Hypothesis]], encoded: ctranslate2.StorageView
    ) -> Iterator[tuple[Job, dict[str, Any]]]:
        by_language: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        heard_s: dict[int, float] = {}
        for index, hypothesis in timed:
            job = jobs[index]
            result = self._finish(job, hypothesis)
            if result["segments"]:
                by_language.setdefault(f"{job.language} {job.options.task}", []).append((index, result))
                # The words of what it left unsaid are not among these.
                heard_s[index] = self._unsaid_from_s(job, hypothesis) or job.duration_s
            else:
                yield job, result
        for group in by_language.values():
            indices = [index for index, _ in group]
            frames = [max(LEAST_ALIGNED_FRAMES, int(heard_s[index] * FRAMES_PER_S)) for index in indices]
            segments = [result["segments"] for _, result in group]
            add_words(self._model, rows(encoded, indices), self._tokenizer(jobs[indices[0]]), segments, frames)
            for index, result in group:
                yield jobs[index], result

    def _encode(self, jobs: list[Job]) -> ctranslate2.StorageView:
        carried = [job.encoded for job in jobs if job.encoded is not None]
        if carried:
            return joined(carried)
        features = [self._log_mel(job.samples, job.attempt.frames) for job in jobs]
        return joined(
            [
                self._model.encode(view(np.stack(features[first : first + self._max_encode])))
                for first in range(0, len(features), self._max_encode)
            ]
        )

    def _detect_languages(self, jobs: list[Job], encoded: ctranslate2.StorageView) -> None:
        wanted = [
            index
            for index, job in enumerate(jobs)
            if self.multilingual
            and not job.language_probabilities
            and (job.language is None or job.options.language_probabilities)
        ]
        if not wanted:
            return
        for index, found in zip(wanted, self._model.detect_language(rows(encoded, wanted)), strict=True):
            job = jobs[index]
            job.language_probabilities = {token[2:-2]: probability for token, probability in found}
            allowed = job.options.languages or tuple(job.language_probabilities)
            if job.language is None:
                job.language = max(allowed, key=lambda code: job.language_probabilities.get(code, 0.0))
            job.language_probability = job.language_probabilities.get(job.language, 0.0)

    def _generate(self, jobs: list[Job], encoded: ctranslate2.StorageView) -> Iterator[Hypothesis]:
        options, temperature = jobs[0].options, jobs[0].attempt.temperature
        prompts = [self._prompt(job) for job in jobs]
        cap = max(job.cap for job in jobs)
        search: dict[str, object] = {"beam_size": options.beam_size, "patience": options.patience}
        if temperature > 0:
            search = {
                "beam_size": 1,
                "num_hypotheses": SAMPLED_HYPOTHESES,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        results = self._model.generate(
            encoded,
            prompts,
            # CTranslate2 allows the smaller of half of this and this less the prompt.
            max_length=min(LONGEST_CONTEXT_TOKENS, max(2 * cap, cap + len(prompts[0]))),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(options.suppress_tokens),
            **search,
        )
        for job, result in zip(jobs, results, strict=True):
            tokens = tuple(result.sequences_ids[0])
            text = self._tokenizer(job).decode(list(tokens)).strip()
            yield Hypothesis(
                tokens=tokens,
                text=text,
                temperature=temperature,
                avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
                compression_ratio=compression_ratio(text),
                no_speech_prob=result.no_speech_prob,
                # Its own, whatever the others of the batch may have; a long prompt leaves less.
                reached_cap=len(tokens) >= min(job.cap, LONGEST_CONTEXT_TOKENS - len(prompts[0])),
            )

    def _prompt(self, job: Job) -> list[int]:
        tokenizer = self._tokenizer(job)
        previous = [tokenizer.sot_prev, *job.previous_tokens] if job.previous_tokens else []
        timestamps = [] if job.options.timestamps else [tokenizer.no_timestamps]
        return [*previous, *tokenizer.sot_sequence, *timestamps]

    def _previous_tokens(self, options: Options) -> list[int]:
        texts = [text for text in (options.hotwords, options.prompt) if text]
        tokens = [token for text in texts for token in self._tokens.encode(" " + text, add_special_tokens=False).ids]
        if len(tokens) > MAX_PROMPT_TOKENS:
            param = "prompt" if options.prompt else "hotwords"
            names = " and ".join(name for name in ("hotwords", "prompt") if getattr(options, name))
            message = f"{names}: {len(tokens)} tokens, at most {MAX_PROMPT_TOKENS} fit"
            raise RequestError("prompt_too_long", message, param)
        return tokens

    def _tokenizer(self, job: Job) -> Tokenizer:
        return Tokenizer(self._tokens, self.multilingual, task=job.options.task, language=job.language)
