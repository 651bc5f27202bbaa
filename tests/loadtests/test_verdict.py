from dataclasses import replace

import pytest

from loadtests.soak.ledger import Entry
from loadtests.soak.memory import HELD, MIB, Sample
from loadtests.soak.slopes import Fit
from loadtests.soak.thresholds import GATEWAY, MODEL, PROCESSES, THRESHOLDS
from loadtests.soak.verdict import Evidence, judge

KIND, NAME = "stream", "end of speech to final"
IDLE = Sample(0, {}, 32 * MIB, {})


def line(low_mib_per_h: float, hours: float = 0.5) -> Fit:
    return Fit(0, hours * 3600, 100, low_mib_per_h + 1, low_mib_per_h, low_mib_per_h + 2)


def entry(name: str = NAME, outcome: str = "ok", kind: str = KIND) -> Entry:
    return Entry(0, kind, name, 1.0, outcome, "")


CLEAN = Evidence(
    before={**dict.fromkeys(HELD, 0.0), "pending_futures": 9, "objects of x": 4},
    after={**dict.fromkeys(HELD, 0.0), "pending_futures": 9, "objects of x": 3},
    idle_before=IDLE,
    idle_after=IDLE,
    fits=dict.fromkeys(PROCESSES, line(0.0)),
    entries=[entry(outcome="shed"), replace(entry(), at_s=100.0)],
    expected=[(KIND, NAME)],
)


def failed(evidence: Evidence) -> list[str]:
    return [finding.subject for finding in judge(evidence, THRESHOLDS) if not finding.passed]


def test_a_clean_run_passes() -> None:
    assert failed(CLEAN) == []


@pytest.mark.parametrize("process", PROCESSES)
def test_memory_that_grows_is_named(process: str) -> None:
    limit = THRESHOLDS.growth[process].limit_mib_per_h(0.5)
    assert failed(replace(CLEAN, fits={**CLEAN.fits, process: line(limit)})) == []
    assert failed(replace(CLEAN, fits={**CLEAN.fits, process: line(limit + 0.1)})) == [f"private memory of {process}"]


def test_a_longer_run_allows_a_smaller_slope() -> None:
    limit = THRESHOLDS.growth[GATEWAY].limit_mib_per_h
    assert limit(0.1) > limit(8) > THRESHOLDS.growth[GATEWAY].mib_per_h


def test_without_a_line_nothing_is_proved() -> None:
    assert failed(replace(CLEAN, fits={**CLEAN.fits, MODEL: None})) == [f"private memory of {MODEL}"]


@pytest.mark.parametrize(
    ("name", "after"),
    [("tritone_sessions", 1), ("tritone_utterances_in_flight", -1), ("pending_futures", 10), ("objects of x", 5)],
)
def test_a_count_that_does_not_come_back_is_named(name: str, after: float) -> None:
    assert failed(replace(CLEAN, after={**CLEAN.after, name: after})) == [f"gateway: {name}"]


def test_objects_of_a_new_type_are_named() -> None:
    assert failed(replace(CLEAN, after={**CLEAN.after, "objects of y": 1})) == ["gateway: objects of y"]


def test_a_thread_that_is_left_is_named_and_grpc_may_start_its_timers() -> None:
    def after(name: str, count: float) -> Evidence:
        return replace(CLEAN, before={**CLEAN.before, name: 1}, after={**CLEAN.after, name: count})

    timers = "threads grpc_global_tim"
    assert failed(after(timers, THRESHOLDS.bounded[timers])) == []
    assert failed(after(timers, THRESHOLDS.bounded[timers] + 1)) == [f"gateway: {timers}"]
    assert failed(after("threads decode_0", 2)) == ["gateway: threads decode_0"]


def test_shared_memory_may_grow_by_what_killed_models_leave() -> None:
    grown = replace(CLEAN, idle_after=replace(IDLE, shm_bytes=65 * MIB))
    assert failed(grown) == ["shared memory"]
    assert failed(replace(grown, entries=[*CLEAN.entries, entry("model killed", kind="disturbance")])) == []


def test_memory_of_a_gpu_has_to_come_back() -> None:
    grown = replace(CLEAN, idle_before=replace(IDLE, device_bytes=0), idle_after=replace(IDLE, device_bytes=65 * MIB))
    assert failed(grown) == ["memory of the GPU"]
    assert failed(replace(grown, idle_after=replace(IDLE, device_bytes=64 * MIB))) == []


def test_failures_and_silence_fail() -> None:
    assert failed(replace(CLEAN, entries=[*CLEAN.entries, entry(outcome="failed")])) == ["failed requests, wrong words"]
    assert failed(replace(CLEAN, entries=[])) == ["users that got an answer", "still served in the end"]


def test_a_service_that_refuses_everybody_in_the_end_fails() -> None:
    late = [replace(entry(outcome="shed"), at_s=99.0), *(replace(entry(), at_s=90.0 + second) for second in range(10))]
    assert failed(replace(CLEAN, entries=[entry(), *late])) == ["still served in the end"]
    assert failed(replace(CLEAN, entries=[entry(), *late, *late[1:]])) == []
