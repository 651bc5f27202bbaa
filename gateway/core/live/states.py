"""The life of a session: which call may come when, and where it leads."""

from collections.abc import Mapping
from enum import Enum, auto

from gateway.core.errors import BadRequest


class State(Enum):
    """Where a session is."""

    LISTENING = auto()
    SCORING = auto()
    CLOSING = auto()
    CLOSED = auto()


class Call(Enum):
    """What can happen to it. COMMAND: finalize, configure, reset, clear. END: nothing is left, or nobody is."""

    AUDIO = auto()
    SCORES = auto()
    ANSWER = auto()
    COMMAND = auto()
    KEEPALIVE = auto()
    TICK = auto()
    FINISH = auto()
    END = auto()


# A pair that is not listed raises. What was on its way when a session ended may still arrive, and does nothing.
TRANSITIONS: Mapping[State, Mapping[Call, State]] = {
    State.LISTENING: {
        Call.AUDIO: State.SCORING,
        Call.ANSWER: State.LISTENING,
        Call.COMMAND: State.LISTENING,
        Call.KEEPALIVE: State.LISTENING,
        Call.TICK: State.LISTENING,
        Call.FINISH: State.CLOSING,
        Call.END: State.CLOSED,
    },
    State.SCORING: {
        Call.SCORES: State.LISTENING,
        Call.ANSWER: State.SCORING,
        Call.TICK: State.SCORING,
        Call.END: State.CLOSED,
    },
    State.CLOSING: {
        Call.ANSWER: State.CLOSING,
        Call.KEEPALIVE: State.CLOSING,
        Call.TICK: State.CLOSING,
        Call.FINISH: State.CLOSING,
        Call.END: State.CLOSED,
    },
    State.CLOSED: {
        Call.SCORES: State.CLOSED,
        Call.ANSWER: State.CLOSED,
        Call.TICK: State.CLOSED,
        Call.END: State.CLOSED,
    },
}
_BY_CLIENT = frozenset({Call.AUDIO, Call.COMMAND, Call.KEEPALIVE, Call.FINISH})


def following(state: State, call: Call) -> State:
    """The state after `call`. Out of order, a client's call raises BadRequest, the shell's own RuntimeError."""
    state_after = TRANSITIONS[state].get(call)
    if state_after is not None:
        return state_after
    if call in _BY_CLIENT:
        raise BadRequest("This message can't come at this point.", code="out_of_order")
    raise RuntimeError(f"{call.name} in state {state.name}")
