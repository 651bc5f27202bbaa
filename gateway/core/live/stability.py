"""Decides which words of an interim result will not change any more."""

from gateway.core.words import normalized, split_words, without_tail

# How far a hypothesis may be ahead of or behind the stable words ("cannot" for "can not") and still be lined up.
MAX_DRIFT_WORDS = 3
ANCHOR_WORDS = 3


class Agreement:
    """LocalAgreement-2 over the hypotheses of one utterance: what two in a row say, in the same place, is stable.

    Liu, Spanakis, Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis
    Selection" (2020). Words agree without regard to case and punctuation; the newer form is taken. The punctuation
    after the last stable word waits for the next word: a hypothesis likes to end in a full stop where its audio does.
    """

    def __init__(self) -> None:
        self.stable_text = ""
        self._stable: list[str] = []
        self._expected: list[str] = []

    def update(self, text: str) -> str:
        """Takes the newest hypothesis; returns what to show of it, which starts with `stable_text`."""
        pieces = split_words(text.strip())
        words = [normalized(piece) for piece in pieces]
        start = self._line_up(words)
        end = start + _common(self._expected, words[start:])
        if end > start:
            self.stable_text += _tail(pieces, start) + "".join(pieces[start : end - 1]) + without_tail(pieces[end - 1])
            self._stable += words[start:end]
        self._expected = words[end:]
        return self.stable_text + _tail(pieces, end) + "".join(pieces[end:])

    def _line_up(self, words: list[str]) -> int:
        """Where in `words` the stable ones end: by the last of them, else by their number."""
        count = len(self._stable)
        drifts = sorted(range(count - MAX_DRIFT_WORDS, count + MAX_DRIFT_WORDS + 1), key=lambda end: abs(end - count))
        for anchor in range(min(ANCHOR_WORDS, count), 0, -1):
            for end in drifts:
                if anchor <= end <= len(words) and words[end - anchor : end] == self._stable[-anchor:]:
                    return end
        return min(count, len(words))


def _common(first: list[str], second: list[str]) -> int:
    pairs = zip(first, second, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def _tail(pieces: list[str], end: int) -> str:
    """The punctuation after word `end - 1`; none before the first word."""
    return pieces[end - 1][len(without_tail(pieces[end - 1])) :] if end else ""
