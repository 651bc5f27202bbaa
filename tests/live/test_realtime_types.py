"""Every event and session of the realtime door is valid by OpenAI's own types."""

from dataclasses import replace

from openai.types.realtime import RealtimeServerEvent, RealtimeTranscriptionSessionCreateRequest
from pydantic import TypeAdapter

from gateway.core.audio import Filtered
from gateway.core.errors import BadRequest, DeadlineExceeded
from gateway.core.live.effects import AudioDropped, Partial
from gateway.core.wire.realtime_messages import RealtimeOptions
from gateway.core.wire.stream_messages import Encoding
from tests.core.live.drive import SPEECH, Driver, said
from tests.core.wire.test_realtime_events import COMMITTED, COMPLETED, CREATED, DELTA, FAILED, STARTED, STOPPED, Teller

OPENAI: TypeAdapter[object] = TypeAdapter(RealtimeServerEvent)
DEFAULTS = RealtimeOptions(model="base")


def test_events() -> None:
    teller = Teller(Driver())
    tell, driver, wire = teller.tell, teller.driver, teller.wire
    events = [wire.created(DEFAULTS), wire.updated(DEFAULTS)]
    events += tell(driver.speak(SPEECH))
    events += wire.tell(Partial(0, "one two", "one"))
    events += tell(driver.answer(0, said("one two", filtered=(Filtered("repeat", "two"),))))
    events += tell(driver.speak(SPEECH))
    events += tell(driver.fail(1, DeadlineExceeded("late")))
    events += [wire.error(BadRequest("bad", param="x"), event_id="mine"), *wire.tell(AudioDropped(9)), *wire.clear()]
    kinds = [type(OPENAI.validate_python(event)).model_fields["type"].annotation.__args__[0] for event in events]  # type: ignore[attr-defined]
    assert kinds == [event["type"] for event in events]
    session = {"session.created", "session.updated", "input_audio_buffer.cleared", "error"}
    assert set(kinds) == {*session, STARTED, STOPPED, COMMITTED, CREATED, DELTA, COMPLETED, FAILED}


def test_sessions() -> None:
    for options in (
        replace(DEFAULTS, language="de"),
        replace(DEFAULTS, server_vad=False, encoding=Encoding.MULAW, sample_rate_hz=8_000),
    ):
        RealtimeTranscriptionSessionCreateRequest.model_validate(options.to_wire())
