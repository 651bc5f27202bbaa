"""What a session remembers of what it heard: the last sentence, its sound, and the language."""

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np

from gateway.core.audio import SAMPLE_RATE_HZ, DecodeOptions, Samples, Transcript, samples_of_ms
from gateway.core.language_lock import LanguageLock
from gateway.core.live.session_config import SessionConfig

# Whisper takes at most 224 tokens of previous text, and a token is at least one byte of it.
MAX_PROMPT_BYTES = 220
# openai/whisper, transcribe.py: text from a higher temperature is not used as a prompt.
MAX_PROMPT_TEMPERATURE = 0.5
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


class Context:
    """One session's memory; nothing of it is longer than a sentence or two seconds."""

    def __init__(self) -> None:
        self._sentence = ""
        self._tail: Samples = np.empty(0, np.int16)
        self._lock = LanguageLock()

    @property
    def language(self) -> str | None:
        """The language that was found, an ISO code."""
        return self._lock.language

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self._sentence or len(self._tail) or self._lock.language)

    def copy(self) -> "Context":
        """The same memory, that can learn for itself."""
        return deepcopy(self)

    def forget(self, *, audio: bool, text: bool) -> None:
        """Forgets the sound and the language, the text, or both."""
        if audio:
            self._tail, self._lock = np.empty(0, np.int16), LanguageLock()
        if text:
            self._sentence = ""

    def options(self, config: SessionConfig) -> DecodeOptions:
        """`config.options` with the language that was found and the sentence that went before."""
        given = config.options
        prompt = given.prompt
        if config.text_context and self._sentence:
            joined = f"{prompt} {self._sentence}" if prompt else self._sentence
            prompt = joined if len(f"{joined}{given.hotwords or ''}".encode()) <= MAX_PROMPT_BYTES else prompt
        return replace(given, language=given.language or self.language, prompt=prompt)

    def lead(self, config: SessionConfig) -> Samples:
        """The end of the utterance before, shape (n,), to be put in front of the next one; n may be 0."""
        length = samples_of_ms(config.audio_context_ms)
        return self._tail[len(self._tail) - min(length, len(self._tail)) :]

    def learn(self, config: SessionConfig, samples: Samples, transcript: Transcript, text: str) -> None:
        """Takes in an utterance, its transcript and the `text` that its client was given."""
        steady = all(segment.temperature <= MAX_PROMPT_TEMPERATURE for segment in transcript.segments)
        length = min(samples_of_ms(config.audio_context_ms), len(samples))
        read = text
        if length:
            # What will be heard again must not be in the prompt as well: the model would take it for said. Of a
            # filtered text nobody knows what was said until then.
            is_whole = text == transcript.text.strip()
            read = said_before(transcript, (len(samples) - length) / SAMPLE_RATE_HZ, text) if is_whole else ""
        self._sentence = last_sentence(read) if steady and (config.text_context or config.keeps_text) else ""
        self._tail = samples[len(samples) - length :].copy()
        if text and config.language_lock and config.options.language is None:
            self._lock.heard(transcript)


def said_before(transcript: Transcript, time_s: float, text: str) -> str:
    """The words that have ended by then; all the `text` where words have no times."""
    words = [word for segment in transcript.segments for word in segment.words]
    return "".join(word.text for word in words if word.end_s <= time_s) if words else text


def last_sentence(text: str) -> str:
    """The last sentence of `text`; the end of it where it is longer than MAX_PROMPT_BYTES."""
    sentence = _SENTENCE_END.split(text.strip())
    last = next((part for part in reversed(sentence) if part), "")
    while len(last.encode()) > MAX_PROMPT_BYTES:
        _, space, rest = last.partition(" ")
        last = rest if space else last[-MAX_PROMPT_BYTES // 4 :]
    return last
