"""The audio of one connection: decoded as it comes, and given to its session as there is room."""

import asyncio

from gateway.audio.encodings import PIECE_BYTES, live_decoder, push_in_pieces
from gateway.core.audio import Samples
from gateway.core.wire.stream_messages import Encoding
from gateway.live.outbox import Outbox
from gateway.live.session import LiveSession


class Feed:
    """Bytes in, audio to `session`, by the connection of `outbox`. Nothing of a broken stream goes into a new one.

    Its calls raise BadAudio, UnsupportedAudio, AudioTooLong and Overloaded.
    """

    def __init__(self, session: LiveSession, outbox: Outbox, encoding: Encoding, sample_rate_hz: int) -> None:
        self._session = session
        self._outbox = outbox
        self._format = encoding, sample_rate_hz
        self._decoder = live_decoder(*self._format)

    async def push(self, data: bytes) -> None:
        """Takes in one message. Other sessions have their turn after each piece of a long one."""
        for samples in push_in_pieces(self._decoder, data):
            await self._session.hear(samples, by=self._outbox)
            if len(data) > PIECE_BYTES:
                await asyncio.sleep(0)

    async def flush(self) -> None:
        """Brings out what the decoder holds, where the client ends an utterance. A container goes on as it is."""
        if self._format[0] is not Encoding.OPUS:
            await self._session.hear(self._rest(), by=self._outbox)

    async def finish(self) -> None:
        """Brings out what the decoder holds, at the end."""
        await self._session.hear(self._rest(), by=self._outbox)

    async def change(self, encoding: Encoding, sample_rate_hz: int) -> None:
        """What comes from now on is written in another way."""
        if encoding is Encoding.OPUS:
            sample_rate_hz = self._format[1]  # it brings its own
        if (encoding, sample_rate_hz) != self._format:
            rest = self._rest()
            self._format = encoding, sample_rate_hz
            self._decoder = live_decoder(*self._format)
            await self._session.hear(rest, by=self._outbox)

    def discard(self) -> None:
        """Forgets what the decoder holds."""
        self._decoder = live_decoder(*self._format)

    def _rest(self) -> Samples:
        decoder, self._decoder = self._decoder, live_decoder(*self._format)
        return decoder.finish()
