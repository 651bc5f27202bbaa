import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gateway.core.admission import Admission, AdmissionLimits, Lane
from gateway.core.audio import DecodeOptions, Quiet, Transcript, Utterance
from gateway.core.deadline import Deadline
from gateway.core.errors import BadAudio, DeadlineExceeded, ModelFailed, ModelUnavailable, Overloaded
from gateway.core.recovery import Sign
from gateway.dispatch import Dispatch, DispatchLimits, Job
from gateway.telemetry import Telemetry
from gateway.triton.fleet import Fleet
from tests.fakes import FakeTranscriber, fleet_limits
from tests.serving import eventually


class Cuts:
    """Half-second utterances; `blocks_at` waits in the thread until it is stopped, `fails_at` raises."""

    def __init__(self, count: int, *, blocks_at: int = -1, fails_at: int = -1) -> None:
        self.duration_s = count / 2
        self.taken = 0
        self.closed = False
        self.inside = threading.Event()
        self.stopped = threading.Event()
        self._count, self._blocks_at, self._fails_at = count, blocks_at, fails_at

    def next_utterance(self) -> Utterance | Quiet | None:
        assert not self.closed
        if self.taken == self._blocks_at:
            self.inside.set()
            assert self.stopped.wait(10)
        if self.taken == self._fails_at:
            raise BadAudio("damaged")
        if self.taken == self._count:
            return None
        self.taken += 1
        return Utterance(self.taken - 1, (self.taken - 1) * 8000, np.zeros(8000, np.int16))

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.closed = True


async def fleet_of(backend: FakeTranscriber) -> Fleet:
    """One Triton, and one look at it."""
    fleet = Fleet(lambda _: backend, Telemetry(), fleet_limits())
    await fleet.find()
    await fleet.check()
    return fleet


@pytest.fixture
def backend() -> FakeTranscriber:
    return FakeTranscriber()


@pytest.fixture
def admission() -> Admission:
    return Admission(AdmissionLimits(8, 4, 64, 1000))


@pytest.fixture
async def fleet(backend: FakeTranscriber) -> Fleet:
    return await fleet_of(backend)


@pytest.fixture
def dispatch(backend: FakeTranscriber, admission: Admission, fleet: Fleet) -> Iterator[Dispatch]:
    limits = DispatchLimits(file_fan_out=2, long_after_s=60, utterance_timeout_s=30, retry_reserve=8)
    with ThreadPoolExecutor(1) as decoders:
        yield Dispatch(admission, fleet, Telemetry(), decoders=decoders, limits=limits)


def job(timeout_s: float = 30.0, language: str | None = "en") -> Job:
    return Job("r", "base", DecodeOptions(language=language), Deadline.after(timeout_s, now_s=time.monotonic()))


async def test_a_file_is_decoded_no_faster_than_it_is_answered(dispatch: Dispatch, backend: FakeTranscriber) -> None:
    backend.gate.clear()
    cuts = Cuts(50)
    running = asyncio.create_task(dispatch.transcribe_file(cuts, job()))
    await backend.requests_are(2)
    await eventually(lambda: cuts.taken == 3)
    assert backend.most_in_flight == 2
    backend.gate.set()
    transcript = await running
    assert transcript.text.split()[1::2] == [str(number) for number in range(50)]
    assert [placed.segment.start_s for placed in transcript.segments] == [number / 2 for number in range(50)]
    assert backend.most_in_flight == 2
    assert cuts.closed


async def test_what_the_model_is_late_with_counts_as_its_own(
    backend: FakeTranscriber, admission: Admission, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object, deadline: Deadline, **__: object) -> Transcript:
        await asyncio.sleep(deadline.remaining_s(time.monotonic()))
        raise DeadlineExceeded("The model did not answer in time.")

    monkeypatch.setattr(backend, "transcribe", late)
    telemetry = Telemetry()
    limits = DispatchLimits(file_fan_out=2, long_after_s=60, utterance_timeout_s=30, retry_reserve=8)
    with ThreadPoolExecutor(1) as decoders:
        dispatch = Dispatch(admission, await fleet_of(backend), telemetry, decoders=decoders, limits=limits)
        with pytest.raises(DeadlineExceeded):
            await dispatch.transcribe_file(Cuts(1), job(timeout_s=0.05))
    outcome = {"outcome": "deadline_exceeded"}
    assert telemetry.registry.get_sample_value("tritone_utterances_total", outcome) == 1


async def test_the_first_two_go_together_until_the_language_is_sure(
    dispatch: Dispatch, backend: FakeTranscriber
) -> None:
    backend.gate.clear()
    running = asyncio.create_task(dispatch.transcribe_file(Cuts(4), job(language=None)))
    await backend.requests_are(2)
    await asyncio.sleep(0)
    assert len(backend.requests) == 2
    backend.gate.set()
    await running
    assert [options.language for _, _, options, _ in backend.requests] == [None, None, "en", "en"]


async def test_what_was_heard_in_another_language_than_the_file_is_in_is_asked_again(
    dispatch: Dispatch, backend: FakeTranscriber
) -> None:
    backend.heard = {1: "cy"}
    backend.gate.clear()
    running = asyncio.create_task(dispatch.transcribe_file(Cuts(2), job(language=None)))
    await backend.requests_are(2)
    backend.gate.set()
    transcript = await running
    assert [options.language for _, _, options, _ in backend.requests] == [None, None, "en"]
    assert (transcript.language, transcript.text) == ("en", "piece 0 piece 2")


async def test_files_share_the_permits(dispatch: Dispatch, backend: FakeTranscriber, admission: Admission) -> None:
    backend.gate.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(dispatch.transcribe_file(Cuts(5), job()))
        await backend.requests_are(4)
        await eventually(lambda: admission.waiting == 2)
        assert backend.in_flight == 4
        backend.gate.set()
    assert (len(backend.requests), backend.most_in_flight, admission.in_flight) == (15, 4, 0)


async def test_the_first_failure_ends_the_rest(dispatch: Dispatch, backend: FakeTranscriber) -> None:
    cuts = Cuts(50, blocks_at=2)
    backend.error = ModelFailed("wrong")
    with pytest.raises(ModelFailed):
        await dispatch.transcribe_file(cuts, job())
    assert cuts.closed
    assert backend.in_flight == 0
    assert len(backend.requests) <= 2


async def test_damaged_audio_ends_what_is_in_flight(dispatch: Dispatch, backend: FakeTranscriber) -> None:
    backend.gate.clear()
    with pytest.raises(BadAudio):
        await dispatch.transcribe_file(Cuts(5, fails_at=1), job())
    assert backend.in_flight == 0


async def test_a_bug_is_told_before_an_expected_failure(dispatch: Dispatch, backend: FakeTranscriber) -> None:
    backend.error = ZeroDivisionError("bug")
    with pytest.raises(ZeroDivisionError):
        await dispatch.transcribe_file(Cuts(5), job())


async def test_the_deadline_ends_it_all(dispatch: Dispatch, backend: FakeTranscriber, admission: Admission) -> None:
    backend.gate.clear()
    cuts = Cuts(5)
    with pytest.raises(DeadlineExceeded):
        await dispatch.transcribe_file(cuts, job(timeout_s=0.05))
    assert (backend.in_flight, admission.in_flight, admission.waiting, cuts.closed) == (0, 0, 0, True)


async def test_a_decoder_in_a_thread_is_stopped_and_awaited_when_the_client_leaves(
    dispatch: Dispatch, backend: FakeTranscriber
) -> None:
    cuts = Cuts(5, blocks_at=1)
    running = asyncio.create_task(dispatch.transcribe_file(cuts, job()))
    await eventually(cuts.inside.is_set)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cuts.stopped.is_set()
    assert cuts.closed
    assert backend.in_flight == 0


async def test_a_decoder_that_has_no_thread_yet_is_not_started(dispatch: Dispatch) -> None:
    holding, waiting = Cuts(5, blocks_at=0), Cuts(5)
    first = asyncio.create_task(dispatch.transcribe_file(holding, job()))
    await eventually(holding.inside.is_set)
    second = asyncio.create_task(dispatch.transcribe_file(waiting, job()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    holding.stop()
    await first
    assert (waiting.taken, waiting.closed) == (0, True)


GONE = ModelUnavailable("gone")


async def test_what_died_with_its_model_is_sent_once_more_when_the_model_is_back(
    dispatch: Dispatch, backend: FakeTranscriber, fleet: Fleet, admission: Admission
) -> None:
    backend.gate.clear()
    running = asyncio.create_task(dispatch.transcribe_file(Cuts(2), job()))
    await backend.requests_are(2)
    backend.sign = Sign.DEAD
    await fleet.check()
    await eventually(lambda: admission.waiting == 2)
    assert (backend.cancelled, backend.in_flight, admission.in_flight) == (2, 0, 0)
    backend.gate.set()
    assert backend.orders == [("unload", "base"), ("load", "base")]
    await fleet.check()
    assert sorted((await running).text.split()) == ["2", "3", "piece", "piece"]
    assert (admission.waiting, admission.in_flight) == (0, 0)


async def test_there_is_no_third_try(dispatch: Dispatch, backend: FakeTranscriber, fleet: Fleet) -> None:
    backend.error = GONE
    running = asyncio.create_task(dispatch.transcribe_file(Cuts(1), job()))
    await backend.requests_are(1)
    await eventually(lambda: fleet.refusal_of("base") is not None)
    await fleet.check()
    with pytest.raises(ModelUnavailable):
        await running
    assert len(backend.requests) == 2


async def test_a_model_that_does_not_come_back_in_time_is_told(backend: FakeTranscriber, admission: Admission) -> None:
    telemetry = Telemetry()
    fleet = Fleet(lambda _: backend, telemetry, fleet_limits(wait_s=0.05))
    await fleet.find()
    limits = DispatchLimits(file_fan_out=2, long_after_s=60, utterance_timeout_s=30, retry_reserve=8)
    with ThreadPoolExecutor(1) as decoders:
        dispatch = Dispatch(admission, fleet, telemetry, decoders=decoders, limits=limits)
        with pytest.raises(ModelUnavailable):
            await dispatch.transcribe_file(Cuts(1), job())
    assert (backend.requests, admission.waiting) == ([], 0)
    # Nothing was sent, so there is no second try.
    tried = {
        outcome: telemetry.registry.get_sample_value("tritone_retries_total", {"outcome": outcome})
        for outcome in ("again", "refused")
    }
    assert not any(tried.values())


async def test_whoever_waits_for_a_model_gets_no_permit_before_it_is_back(
    dispatch: Dispatch, backend: FakeTranscriber, fleet: Fleet, admission: Admission
) -> None:
    with pytest.raises(ModelUnavailable):
        async with fleet.asking("base"):
            raise GONE
    running = asyncio.create_task(dispatch.transcribe_file(Cuts(3), job()))
    await eventually(lambda: admission.waiting > 0)
    assert (admission.in_flight, backend.requests) == (0, [])
    await fleet.check()
    await running
    assert len(backend.requests) == 3


async def test_in_long_silence_files_take_turns(backend: FakeTranscriber, admission: Admission, fleet: Fleet) -> None:
    class Silence(Cuts):
        def next_utterance(self) -> Utterance | Quiet | None:
            turns.append(self)
            self.taken += 1
            return Quiet() if self.taken < 4 else None

    turns: list[Cuts] = []
    limits = DispatchLimits(file_fan_out=2, long_after_s=60, utterance_timeout_s=30, retry_reserve=0)
    files = [Silence(0), Silence(0)]
    with ThreadPoolExecutor(1) as decoders:
        dispatch = Dispatch(admission, fleet, Telemetry(), decoders=decoders, limits=limits)
        await asyncio.gather(*(dispatch.transcribe_file(file, job()) for file in files))
    assert turns == files * 4


async def test_without_a_budget_nothing_is_sent_twice(
    backend: FakeTranscriber, admission: Admission, fleet: Fleet
) -> None:
    limits = DispatchLimits(file_fan_out=2, long_after_s=60, utterance_timeout_s=30, retry_reserve=0)
    backend.error = GONE
    with ThreadPoolExecutor(1) as decoders:
        dispatch = Dispatch(admission, fleet, Telemetry(), decoders=decoders, limits=limits)
        with pytest.raises(ModelUnavailable):
            await dispatch.transcribe_file(Cuts(1), job())
    assert len(backend.requests) == 1


async def test_what_comes_late_in_a_file_lets_others_go_first(dispatch: Dispatch, backend: FakeTranscriber) -> None:
    await dispatch.transcribe_file(Cuts(130), job())
    assert backend.lanes == [Lane.FILE] * 120 + [Lane.LONG] * 10


async def test_what_would_be_late_is_refused_at_once(
    dispatch: Dispatch, backend: FakeTranscriber, admission: Admission
) -> None:
    backend.gate.clear()
    running = [asyncio.create_task(dispatch.transcribe_file(Cuts(2), job())) for _ in range(2)]
    await backend.requests_are(4)
    admission.served(40.0)
    cuts = Cuts(1)
    with pytest.raises(Overloaded):
        await dispatch.transcribe_file(cuts, job(timeout_s=5))
    # Nothing of it was decoded.
    assert (cuts.closed, cuts.taken, len(backend.requests)) == (True, 0, 4)
    backend.gate.set()
    await asyncio.gather(*running)
