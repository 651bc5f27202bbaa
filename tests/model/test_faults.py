from collections.abc import Callable

import numpy as np
import pytest

from decode import Decoder
from faults import GROWTH_BYTES, LEAK_BYTES, Faults, faults_of
from jobs import Job
from options import RequestError


@pytest.fixture
def faults(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setenv("TRITONE_TEST_FAULTS", "1")
    found = faults_of(decoder)
    assert found
    return found


def test_there_are_none_unless_the_environment_says_so(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "0", "true"):
        if value is not None:
            monkeypatch.setenv("TRITONE_TEST_FAULTS", value)
        assert faults_of(decoder) is None


def test_an_ordered_fault_happens_once_and_the_job_is_decoded(faults: Faults, make_job: Callable[..., Job]) -> None:
    job = make_job(np.zeros(8000, np.int16))
    faults.order(job, "grow")
    with pytest.raises(RequestError, match="exit, spin, sleep, grow, forget"):
        faults.order(job, "explode")
    for _ in range(2):
        assert [decoded for decoded, _ in faults.decode([job])] == [job]
    assert [len(kept) for kept in faults._kept] == [GROWTH_BYTES]


def test_a_job_that_is_forgotten_has_no_outcome_and_the_others_have(
    faults: Faults, make_job: Callable[..., Job]
) -> None:
    forgotten, other = make_job(np.zeros(8000, np.int16)), make_job(np.zeros(8000, np.int16))
    faults.order(forgotten, "forget")
    assert [decoded for decoded, _ in faults.decode([forgotten, other])] == [other]


def test_a_leak_keeps_something_of_each_job(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, make_job: Callable[..., Job]
) -> None:
    monkeypatch.setenv("TRITONE_TEST_FAULTS", "leak")
    faults = faults_of(decoder)
    assert faults
    for count in (1, 2):
        list(faults.decode([make_job(np.zeros(8000, np.int16))]))
        assert [len(kept) for kept in faults._kept] == [LEAK_BYTES] * count
