"""What is read of a client's words: understood or refused by name, whatever they are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.form import parse
from gateway.api.replies import error_response
from gateway.core.api_keys import KeyFileError, parse_keys
from gateway.core.audio import Task
from gateway.core.errors import TritoneError
from gateway.core.live.session_config import SessionConfig
from gateway.core.origins import is_local, parse_origins, permits
from gateway.core.wire.realtime_messages import RealtimeOptions, client_event_id, parse_event
from gateway.core.wire.stream_messages import StreamOptions, parse_message, parse_start
from tests.malformed import cases

STREAM, REALTIME = StreamOptions(model="base"), RealtimeOptions(model="base")
BASE = SessionConfig(model="base")


def told(error: TritoneError) -> None:
    """A refusal is the client's fault, says what is wrong, and can be sent."""
    assert error.message
    assert error_response(error).status < 500


@cases.cases(2500)
@given(fields=cases.fields)
def test_forms(fields: list[tuple[str, str]]) -> None:
    try:
        form = parse([("model", "base"), *fields], task=Task.TRANSCRIBE, max_timeout_s=600)
    except TritoneError as error:
        told(error)
    else:
        assert form.model == "base"


@cases.cases(1000)
@given(query=cases.queries)
def test_queries(query: dict[str, str]) -> None:
    try:
        start = parse_start(query, STREAM, is_query=True)
        if isinstance(start, StreamOptions):
            start.session_config(BASE)
    except TritoneError as error:
        told(error)


@cases.cases(1500)
@given(message=cases.stream_messages, is_first=st.booleans())
def test_stream_messages(message: object, is_first: bool) -> None:
    try:
        said = parse_start(message, STREAM, is_query=False) if is_first else parse_message(message, STREAM)  # type: ignore[arg-type]  # whatever a client says
        if isinstance(said, StreamOptions):
            said.session_config(BASE)
    except TritoneError as error:
        told(error)


@cases.cases(1500)
@given(message=cases.realtime_messages)
def test_realtime_messages(message: object) -> None:
    client_event_id(message)
    try:
        said = parse_event(message, REALTIME)
        if isinstance(said, RealtimeOptions):
            said.session_config(BASE)
            json.dumps(said.to_wire())
    except TritoneError as error:
        told(error)


@cases.cases(500)
@given(text=st.text(max_size=200), origin=st.text(max_size=40), host=st.text(max_size=40))
def test_keys_and_origins(text: str, origin: str, host: str) -> None:
    is_local(host)
    permits(frozenset({"https://shop.example"}), origin, host, only_local=True)
    try:
        parse_origins(text)
    except ValueError as error:
        assert str(error)
    with pytest.raises(KeyFileError):
        parse_keys(f"{text}\nnonsense", max_keys=5)
