"""The utterances of one uploaded file, taken one at a time from worker threads."""

import threading
from collections.abc import Callable, Generator
from io import RawIOBase
from typing import BinaryIO, TypeAlias, cast

from gateway.audio.cutting import AudioEnd, cut_audio
from gateway.audio.vad import scorer_for
from gateway.core.audio import Quiet, Samples, Utterance
from gateway.core.segmenter import SegmenterConfig

Decode: TypeAlias = Callable[[BinaryIO], Generator[Samples, None, None]]


class FileCuts:
    """As dispatch.Cuts, over a seekable `file` which stays the caller's to close."""

    def __init__(self, file: BinaryIO, decode: Decode, *, config: SegmenterConfig, vad: str) -> None:
        """`decode` makes 16 kHz samples of the file's bytes."""
        self._stopped = threading.Event()
        self._pieces = decode(cast(BinaryIO, _Stoppable(file, self._stopped)))
        self._cuts = cut_audio(self._pieces, config=config, scorer=scorer_for(vad))
        self.duration_s = 0.0

    def next_utterance(self) -> Utterance | Quiet | None:
        """As dispatch.Cuts."""
        cut = next(self._cuts)
        if isinstance(cut, Quiet):
            return cut
        if isinstance(cut, AudioEnd):
            self.duration_s = cut.duration_s
            return None
        return cut.utterance

    def stop(self) -> None:
        """Ends a `next_utterance` in another thread at its next read of the file."""
        self._stopped.set()

    def close(self) -> None:
        """Lets go of the decoder. No `next_utterance` may be running."""
        self._cuts.close()
        self._pieces.close()


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
