"""Tells a session's messages as OpenAI's realtime server events: deltas only append, each committed item ends once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.errors import BadRequest, Overloaded, TritoneError
from gateway.core.languages import UNSPACED_LANGUAGES
from gateway.core.live.effects import (
    AudioDropped,
    Errored,
    Failed,
    Final,
    Message,
    Outcome,
    Partial,
    SpeechBegan,
    SpeechEnded,
)
from gateway.core.wire.caveats import filtered_to_wire
from gateway.core.wire.realtime_messages import RealtimeOptions

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
Event = dict[str, Any]


@dataclass(slots=True)
class _Item:
    """One item: the utterances without an outcome, in order, and what was said of it.

    `said` is the text of the deltas, `said_of_first` the part of it that is of the first utterance in `open`.
    """

    id: str
    open: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    said_of_first: str = ""
    gap: str = ""
    audio_ms: int = 0
    error: TritoneError | None = None
    filtered: list[dict[str, str]] = field(default_factory=list)
    committed: bool = False


class RealtimeEvents:
    """The translation for one connection. Where the server cuts, an utterance is an item.

    Where the client commits, an item is all that came before; it has several utterances if it is longer than one may
    be. `prefix` makes ids unique, `error_type` is OpenAI's type of an error.
    """

    def __init__(self, prefix: str, error_type: Callable[[TritoneError], str]) -> None:
        self._prefix = prefix
        self._error_type = error_type
        self._events = 0
        self._items = 0
        self._current: _Item | None = None
        self._previous_id: str | None = None
        self._by_utterance: dict[int, _Item] = {}

    def created(self, options: RealtimeOptions) -> Event:
        """The first event."""
        return self._event("session.created", session=options.to_wire())

    def updated(self, options: RealtimeOptions) -> Event:
        """The answer to a `session.update`."""
        return self._event("session.updated", session=options.to_wire())

    def error(self, error: TritoneError, *, event_id: str | None = None) -> Event:
        """An error that is not about one item; `event_id` is that of the client's event that caused it."""
        return self._event("error", error={**self._told(error), "event_id": event_id})

    def check_commit(self) -> None:
        """Raises BadRequest where there is nothing to commit; to be called before the session is finalized."""
        if self._current is None:
            raise BadRequest(
                "No speech was found in what was appended since the last commit.",
                code="input_audio_buffer_commit_empty",
            )

    def commit(self) -> list[Event]:
        """Commits what the finalized session has left to commit: nothing, where the server cuts."""
        return self._commit(self._current) if self._current else []

    def clear(self) -> list[Event]:
        """After the session was cleared: what was not committed is forgotten."""
        if self._current is not None:
            for index in self._current.open:
                self._by_utterance.pop(index, None)
            self._current = None
        return [self._event("input_audio_buffer.cleared")]

    def tell(self, message: Message) -> list[Event]:
        """The events for `message`, maybe none."""
        teller = _TELLERS.get(type(message))
        return teller(self, message) if teller else []

    def _began(self, began: SpeechBegan) -> list[Event]:
        item = self._current or self._new_item()
        item.open.append(began.index)
        self._by_utterance[began.index] = item
        if not began.detected:
            return []
        return [self._event("input_audio_buffer.speech_started", audio_start_ms=began.at_ms, item_id=item.id)]

    def _ended(self, ended: SpeechEnded) -> list[Event]:
        item = self._by_utterance[ended.index]
        if not ended.detected:
            return []
        stopped = self._event("input_audio_buffer.speech_stopped", audio_end_ms=ended.at_ms, item_id=item.id)
        return [stopped, *self._commit(item)]

    def _partial(self, partial: Partial) -> list[Event]:
        item = self._by_utterance.get(partial.index)
        if item is None or item.open[0] != partial.index:
            return []
        return self._delta(item, partial.stable_text)

    def _outcome(self, outcome: Outcome) -> list[Event]:
        item = self._by_utterance.pop(outcome.index, None)
        if item is None:
            return []
        events: list[Event] = []
        if isinstance(outcome, Failed):
            item.error = outcome.error
        else:
            events = self._delta(item, outcome.text)
            if outcome.text:
                item.texts.append(item.gap + outcome.text if item.texts else outcome.text)
                item.gap = "" if outcome.language in UNSPACED_LANGUAGES else " "
            item.audio_ms += outcome.end_ms - outcome.start_ms
            item.filtered += filtered_to_wire(outcome.filtered)
        item.open.remove(outcome.index)
        item.said_of_first = ""
        return events + self._end_if_done(item)

    def _delta(self, item: _Item, text: str) -> list[Event]:
        """What `text` adds to what was said of the item's first utterance; nothing where it says something else."""
        said = item.said_of_first
        if not text.startswith(said) or text == said:
            return []
        gap = item.gap if item.texts and not said else ""
        item.said_of_first = text
        return [self._event(f"{_TRANSCRIPTION}.delta", item_id=item.id, content_index=0, delta=gap + text[len(said) :])]

    def _commit(self, item: _Item) -> list[Event]:
        previous_id, self._previous_id = self._previous_id, item.id
        item.committed = True
        self._current = None
        content = [{"type": "input_audio", "transcript": None}]
        message = {"id": item.id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
        return [
            self._event("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous_id),
            self._event(
                "conversation.item.created", previous_item_id=previous_id, item={**message, "content": content}
            ),
            *self._end_if_done(item),
        ]

    def _end_if_done(self, item: _Item) -> list[Event]:
        if not item.committed or item.open:
            return []
        about = {"item_id": item.id, "content_index": 0}
        if item.error is not None:
            return [self._event(f"{_TRANSCRIPTION}.failed", **about, error=self._told(item.error))]
        usage = {"type": "duration", "seconds": item.audio_ms / 1000}
        told: dict[str, Any] = {"transcript": "".join(item.texts), "usage": usage}
        if item.filtered:
            told["filtered"] = item.filtered
        return [self._event(f"{_TRANSCRIPTION}.completed", **about, **told)]

    def _errored(self, errored: Errored) -> list[Event]:
        return [self.error(errored.error)]

    def _dropped(self, dropped: AudioDropped) -> list[Event]:
        message = f"{dropped.dropped_ms} ms of audio came faster than they could be taken and were dropped."
        return [self.error(Overloaded(message, code="audio_dropped"))]

    def _new_item(self) -> _Item:
        self._items += 1
        self._current = _Item(f"item_{self._prefix}_{self._items}")
        return self._current

    def _told(self, error: TritoneError) -> dict[str, Any]:
        return {
            "type": self._error_type(error),
            "code": error.reason,
            "message": error.message,
            "param": error.param,
        }

    def _event(self, kind: str, **values: object) -> Event:
        self._events += 1
        return {"type": kind, "event_id": f"event_{self._prefix}_{self._events}", **values}


_TELLERS: Mapping[type[Message], Callable[[RealtimeEvents, Any], list[Event]]] = {
    SpeechBegan: RealtimeEvents._began,
    SpeechEnded: RealtimeEvents._ended,
    Partial: RealtimeEvents._partial,
    Final: RealtimeEvents._outcome,
    Failed: RealtimeEvents._outcome,
    Errored: RealtimeEvents._errored,
    AudioDropped: RealtimeEvents._dropped,
}
