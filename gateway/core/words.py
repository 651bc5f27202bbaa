"""Splits text into words that can be compared, also in scripts that put no space between them."""

import re
import unicodedata

# Thai, Lao, Tibetan, Burmese, Khmer, kana and Han: each character counts as a word.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PIECE = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


def split_words(text: str) -> list[str]:
    """The words with the space before and the punctuation after them: joined, they are `text` without its last space.

    Punctuation that stands alone belongs to the word before it, or is the first piece.
    """
    pieces: list[str] = []
    for piece in _PIECE.findall(text):
        if pieces and (not normalized(piece) or _is_mark(piece.lstrip()[0])):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def normalized(piece: str) -> str:
    """What is compared of a word: its letters, marks and digits, without case."""
    return "".join(char for char in piece.casefold() if _is_spoken(char))


def compared(text: str) -> list[str]:
    """The words of `text` as they are compared; without those that are punctuation only."""
    return [word for word in map(normalized, split_words(text)) if word]


def without_tail(piece: str) -> str:
    """A word without the punctuation that follows it."""
    end = len(piece)
    while end and not _is_spoken(piece[end - 1]):
        end -= 1
    return piece[:end]


def _is_spoken(char: str) -> bool:
    return char.isalnum() or _is_mark(char)


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"
