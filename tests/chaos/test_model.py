"""The model's process dies, hangs and grows, while others want something of it."""

import os
import signal
import time

import psutil
import pytest

from tests.chaos.conftest import RESIDENT_LIMIT_MIB, STUB, Asked, Service, kills, until
from tests.integration.conftest import MODEL


async def test_a_killed_model_is_back_and_what_was_admitted_is_answered(service: Service) -> None:
    restored = await restorations(service)
    async with service.under_load(6) as asked:
        for _ in range(kills()):
            with asked.breaking():
                service.part(STUB).kill()
                killed_at_s = time.monotonic()
                await until(service.away)
                away_s = time.monotonic() - killed_at_s
                await until(service.ready)
                back_s = time.monotonic() - killed_at_s
            await answers_more(asked, 12)
            print(f"model killed: refused after {away_s:.1f} s, back after {back_s:.1f} s")
    assert asked.lost == []
    assert await restorations(service) >= restored + kills()
    assert await service.metric('tritone_retries_total{outcome="again"}') > 0
    assert await service.metric("tritone_utterances_in_flight") == 0


async def restorations(service: Service) -> float:
    """How often the warden brought the model back, or the supervisor Triton: at times it dies of its model's death."""
    healed = await service.metric("tritone_restorations_total")
    return healed + len(service.server.logged("Triton ended unexpectedly"))


async def test_what_comes_while_the_model_is_away_is_refused_at_the_door(service: Service) -> None:
    asked = Asked()
    with asked.breaking():
        service.part(STUB).kill()
        await until(service.away)
        await service.ask("train", asked)
        assert asked.statuses == {503: 1}
        await until(service.ready)
    await service.ask("train", asked)
    assert asked.lost == []


@pytest.mark.parametrize("fault", ["exit", "sleep", "spin"])
async def test_a_hang_becomes_a_crash_with_the_stacks_in_the_log(service: Service, fault: str) -> None:
    await service.override(hang_limit_s=3)
    logged = len(service.triton_log())
    async with service.under_load(3) as asked:
        with asked.breaking():
            broken = service.part(STUB)
            service.inject(fault)
            await until(lambda: ended(broken))
            await until(service.away)
            await until(service.ready)
        await answers_more(asked, 6)
    assert asked.lost == []
    stacks = service.triton_log()[logged:]
    assert ("Thread 0x" in stacks and 'faults.py", line' in stacks) == (fault != "exit")


async def test_a_model_that_grows_is_replaced_without_a_refusal(service: Service) -> None:
    before = await replaced(service)
    async with service.under_load(4) as asked:
        for times in range(kills()):
            await grows_until_replaced(service, before + times + 1)
    assert set(asked.statuses) == {200}
    assert asked.lost == []


async def test_a_replaced_process_that_triton_keeps_ends_itself(service: Service) -> None:
    """Triton keeps one for as long as a request of it has no answer, which is for ever if the answer is lost."""
    await service.override(retired_after_s=3)
    logged = len(service.triton_log())
    old = service.part(STUB)
    async with service.under_load(3) as asked:
        service.inject("forget")
        await until(lambda: "forgotten" in service.triton_log()[logged:])
        async with service.http.post(f"/v1/models/{MODEL}/reload") as answer:
            assert answer.status == 200
        await until(lambda: ended(old))
        await answers_more(asked, 6)
    assert set(asked.statuses) == {200}
    assert asked.lost == []
    assert "this process was replaced" in service.triton_log()[logged:]


async def test_a_model_that_stands_still_for_a_while_loses_nothing(service: Service) -> None:
    async with service.under_load(3) as asked:
        stub = service.part(STUB)
        stub.suspend()
        answered = asked.statuses[200]
        await until(lambda: waits_for_all(service, 3))
        os.kill(stub.pid, signal.SIGCONT)
        assert asked.statuses[200] <= answered + 3
    assert set(asked.statuses) == {200}
    assert asked.lost == []


async def answers_more(asked: Asked, count: int) -> None:
    answered = asked.statuses[200]
    await until(lambda: asked.statuses[200] >= answered + count)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def grows_until_replaced(service: Service, wanted: float) -> None:
    # What is weighed now may still be the process that was replaced last.
    await until(lambda: small(service))
    service.inject("grow")
    await until(lambda: reached(service, wanted))


async def replaced(service: Service) -> float:
    return await service.metric("tritone_replacements_total", outcome="ok", reason="memory")


async def small(service: Service) -> bool:
    return 0 < await service.metric("tritone_watched_resident_bytes") < RESIDENT_LIMIT_MIB * 2**20


async def reached(service: Service, wanted: float) -> bool:
    return await replaced(service) >= wanted


async def waits_for_all(service: Service, clients: int) -> bool:
    return await service.metric("tritone_utterances_in_flight") >= clients
