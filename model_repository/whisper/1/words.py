"""When each word was said: cross-attention alignment for a whole batch."""

from itertools import pairwise
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import merge_punctuations

PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"
SENTENCE_ENDS = ".。!！?？"

ALIGNMENT_STEP_S = 0.02
"""The encoder's output has one position for two mel frames."""

LONGEST_MEDIAN_S = 0.7
"""openai/whisper, timing.py: the cap on the median word that bounds words at sentence ends."""


def add_words(
    model: ctranslate2.models.Whisper,
    encoded: ctranslate2.StorageView,
    tokenizer: Tokenizer,
    segments: list[list[dict[str, Any]]],
    frames: list[int],
) -> None:
    """Gives every segment its `words`.

    `segments` and `frames` (mel frames that hold audio) have one entry an utterance; all utterances of a call share
    the tokenizer's language and task.
    """
    tokens = [[token for segment in of_one for token in segment["tokens"]] for of_one in segments]
    alignments = model.align(encoded, tokenizer.sot_sequence, tokens, frames, median_filter_width=7)
    for of_one, text_tokens, alignment in zip(segments, tokens, alignments, strict=True):
        words = _timed_words(tokenizer, text_tokens, alignment)
        _shorten_at_sentence_ends(words)
        merge_punctuations(words, PREPENDED, APPENDED)
        _deal_out(of_one, words)


def _timed_words(tokenizer: Tokenizer, text_tokens: list[int], alignment: Any) -> list[dict[str, Any]]:
    # faster-whisper splits these two at spaces, of which they have hardly any; a translation is in English.
    by_character = tokenizer.language_code in ("km", "bo")
    split = tokenizer.split_tokens_on_unicode if by_character else tokenizer.split_to_word_tokens
    if tokenizer.task == tokenizer.translate:
        split = tokenizer.split_tokens_on_spaces
    texts, token_groups = split([*text_tokens, tokenizer.eot])
    if len(token_groups) <= 1:
        return []
    text_indices = np.array([pair[0] for pair in alignment.alignments])
    time_indices = np.array([pair[1] for pair in alignment.alignments])
    first_of_token = np.pad(np.diff(text_indices), (1, 0), constant_values=1).astype(bool)
    token_times_s = time_indices[first_of_token] * ALIGNMENT_STEP_S
    edges = np.cumsum([0, *(len(group) for group in token_groups[:-1])])
    return [
        {
            "word": text,
            "tokens": group,
            "start": float(token_times_s[left]),
            "end": float(token_times_s[right]),
            "probability": float(np.mean(alignment.text_token_probs[left:right])),
        }
        for text, group, left, right in zip(texts[:-1], token_groups[:-1], edges[:-1], edges[1:], strict=True)
    ]


def _shorten_at_sentence_ends(words: list[dict[str, Any]]) -> None:
    durations_s = [word["end"] - word["start"] for word in words if word["end"] > word["start"]]
    if not durations_s:
        return
    longest_s = 2 * min(LONGEST_MEDIAN_S, float(np.median(durations_s)))
    for previous, word in pairwise(words):
        if word["end"] - word["start"] <= longest_s:
            continue
        if word["word"] in SENTENCE_ENDS:
            word["end"] = word["start"] + longest_s
        elif previous["word"] in SENTENCE_ENDS:
            word["start"] = word["end"] - longest_s


def _deal_out(segments: list[dict[str, Any]], words: list[dict[str, Any]]) -> None:
    waiting = iter(words)
    for segment in segments:
        dealt: list[dict[str, Any]] = []
        tokens_left = len(segment["tokens"])
        while tokens_left > 0 and (word := next(waiting, None)) is not None:
            tokens_left -= len(word["tokens"])
            if word["word"]:
                dealt.append(
                    {
                        "text": word["word"],
                        "start_s": round(word["start"], 3),
                        "end_s": round(word["end"], 3),
                        "probability": round(word["probability"], 4),
                    }
                )
        segment["words"] = dealt
        if dealt:
            segment["start_s"], segment["end_s"] = dealt[0]["start_s"], dealt[-1]["end_s"]
