from base64 import b64encode
from time import monotonic

from gateway.api.keys import ADMISSION, LIVE
from gateway.core.admission import Admission, AdmissionLimits
from gateway.live.presence import UNSERVED_AFTER_S, Attendance
from tests.live.talking import BY_LENGTH, REALTIME, nothing_is_left, talking, tone
from tests.serving import Gateway, Start, eventually

COMPLETED = "conversation.item.input_audio_transcription.completed"
FORMAT = {"type": "audio/pcm", "rate": 16000}


def served(gateway: Gateway, sessions: int) -> bool:
    return gateway.app[ADMISSION].sessions == sessions


async def test_a_session_counts_while_it_is_served_and_not_while_it_is_silent(start: Start) -> None:
    async with start(**BY_LENGTH) as gateway, talking(gateway, REALTIME) as talker:
        audio = b64encode(tone(0.5)).decode()
        await talker.say("session.update", session={"audio": {"input": {"format": FORMAT, "turn_detection": None}}})
        await talker.until("session.updated")
        assert served(gateway, 0)
        (live,) = gateway.app[LIVE].sessions
        gateway.backend.gate.clear()
        await talker.say("input_audio_buffer.append", audio=audio)
        await talker.say("input_audio_buffer.commit")
        await gateway.backend.requests_are(1)
        later_s = monotonic() + UNSERVED_AFTER_S
        live._tick(later_s)
        assert served(gateway, 1)
        gateway.backend.gate.set()
        await talker.until(COMPLETED)
        live._tick(later_s + UNSERVED_AFTER_S)
        assert served(gateway, 0)
        await talker.say("input_audio_buffer.append", audio=audio)
        await eventually(lambda: served(gateway, 1))
        await talker.socket.close()
        await nothing_is_left(gateway)


def test_an_attendance_is_given_back_once_and_can_be_taken_again() -> None:
    admission = Admission(AdmissionLimits(max_requests=1, permits=1, max_waiting_utterances=1, max_waiting_audio_s=1))
    attendance, other = Attendance(admission.attend), Attendance(admission.attend)
    attendance.end()
    attendance.look(1_000, owes=True)
    assert admission.sessions == 0
    other.heard(1_000)
    for now_s in (1_000, 1_005):
        attendance.heard(now_s)
    attendance.look(1_005 + UNSERVED_AFTER_S - 1, owes=False)
    assert admission.sessions == 2
    for _ in range(2):
        attendance.look(1_005 + UNSERVED_AFTER_S, owes=False)
        attendance.end()
    assert admission.sessions == 1
    attendance.heard(2_000)
    assert admission.sessions == 2
