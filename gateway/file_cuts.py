"""The utterances of one uploaded file, taken one at a time from worker threads."""

import threading
from collections.abc import Generator, Iterator
from io import RawIOBase
from typing import BinaryIO, cast

from gateway.audio.cutting import AudioEnd, cut_file
from gateway.audio.vad import scorer_for
from gateway.core.audio import Utterance
from gateway.core.segmenter import SegmenterConfig, UtteranceCut


class FileCuts:
    """As dispatch.Cuts, over a seekable `file` which stays the caller's to close."""

    def __init__(self, file: BinaryIO, *, max_audio_s: float, config: SegmenterConfig, vad: str) -> None:
        self._stopped = threading.Event()
        readable = cast(BinaryIO, _Stoppable(file, self._stopped))
        self._cuts: Iterator[UtteranceCut | AudioEnd] = cut_file(
            readable, max_audio_s=max_audio_s, config=config, scorer=scorer_for(vad)
        )
        self.duration_s = 0.0

    def next_utterance(self) -> Utterance | None:
        """The next utterance, None at the end. Raises BadAudio, UnsupportedAudio, AudioTooLong."""
        cut = next(self._cuts)
        if isinstance(cut, AudioEnd):
            self.duration_s = cut.duration_s
            return None
        return cut.utterance

    def stop(self) -> None:
        """Ends a `next_utterance` in another thread at its next read of the file."""
        self._stopped.set()

    def close(self) -> None:
        """Lets go of the decoder. No `next_utterance` may be running."""
        cast(Generator[UtteranceCut | AudioEnd, None, None], self._cuts).close()


class _Stoppable(RawIOBase):
    """Reads `file` until it is told to stop: long silence yields nothing at which a generator could be closed."""

    def __init__(self, file: BinaryIO, stopped: threading.Event) -> None:
        self._file = file
        self._stopped = stopped

    def read(self, size: int = -1) -> bytes:
        if self._stopped.is_set():
            raise OSError("nobody waits for this file any more")
        return self._file.read(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
