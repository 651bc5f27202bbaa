"""The partial results of the utterance that is open: when the next one is due, and what it says."""

from dataclasses import replace

from gateway.core.audio import DecodeOptions
from gateway.core.live.effects import CancelPartial, Partial
from gateway.core.live.stability import Agreement


class Interim:
    """One partial in flight at most. `end` must be called when the utterance is cut or thrown away."""

    def __init__(self) -> None:
        self._agreement = Agreement()
        self._sent_samples = 0
        self._in_flight: int | None = None

    def due(self, open_samples: int, interval_samples: int) -> bool:
        """Whether `interval_samples` of new speech came since the last one."""
        return self._in_flight is None and open_samples - self._sent_samples >= interval_samples

    def sent(self, index: int, open_samples: int) -> None:
        """A partial of utterance `index` was sent, `open_samples` long."""
        self._in_flight, self._sent_samples = index, open_samples

    def awaits(self, index: int) -> bool:
        """Whether an answer for utterance `index` is expected; one that comes after `end` is not."""
        return self._in_flight == index

    def answered(self, index: int, text: str) -> Partial:
        """What to tell of the model's newest `text`."""
        self._in_flight = None
        return Partial(index, self._agreement.update(text), self._agreement.stable_text)

    def skipped(self) -> None:
        """There will be no answer; the next one is due after another interval."""
        self._in_flight = None

    def end(self) -> CancelPartial | None:
        """Starts anew with the next utterance; says which partial nobody waits for any more."""
        in_flight = self._in_flight
        self._agreement, self._sent_samples, self._in_flight = Agreement(), 0, None
        return None if in_flight is None else CancelPartial(in_flight)


def quick(options: DecodeOptions) -> DecodeOptions:
    """Speed is what counts here: greedy, no second try, and no times that nobody is told."""
    return replace(options, beam_size=1, timestamps=False, word_timestamps=False, once=True)
