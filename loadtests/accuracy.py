"""How right a transcript is: word error rate, and whether the model fell into a loop."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

Normalizer: TypeAlias = Callable[[str], str]

# The normalizers drop what stands in brackets, as captions have it; what a reader reads out counts.
_BRACKETS: Final = str.maketrans("()[]<>", "      ")
# A phrase of one to ten words, four times in a row.
_LOOP: Final = re.compile(r"\b(\w+(?: \w+){0,9})(?: \1){3}\b")
# More words than this for each word that was said can't be a mishearing.
_MOST_WORDS: Final = 2
_SPARE_WORDS: Final = 5


def normalizer_for(language: str | None) -> Normalizer:
    """Whisper's own normalizer of `language`; a corpus without a language is taken for English."""
    normalizer = EnglishTextNormalizer() if language in (None, "en") else BasicTextNormalizer()

    def normalize(text: str) -> str:
        return str(normalizer(text.translate(_BRACKETS))).strip()

    return normalize


def word_error_rate(references: Sequence[str], texts: Sequence[str]) -> float:
    """Errors in percent of the words that were said, over all clips. Takes normalized text."""
    return 100 * float(jiwer.wer(list(references), list(texts)))


def is_looped(reference: str, text: str) -> bool:
    """Whether the text repeats a phrase nobody repeated, or is too long by far. Takes normalized text."""
    too_long = len(text.split()) > _MOST_WORDS * len(reference.split()) + _SPARE_WORDS
    return too_long or bool(_LOOP.search(text) and not _LOOP.search(reference))
