"""tritonserver itself is killed under load."""

import time

from tests.chaos.conftest import STUB, Service, until


async def test_a_killed_triton_comes_back_with_what_was_admitted(service: Service) -> None:
    async with service.under_load(4) as asked:
        with asked.breaking():
            killed = service.part("tritonserver")
            killed.kill()
            killed_at_s = time.monotonic()
            await until(service.away)
            away_s = time.monotonic() - killed_at_s
            await until(service.triton_ready)
            back_s = time.monotonic() - killed_at_s
            answered = asked.statuses[200]
            await until(lambda: asked.statuses[200] > answered)
            first_s = time.monotonic() - killed_at_s - back_s
            await until(service.ready)
        await until(lambda: asked.statuses[200] >= answered + 8)
        print(
            f"tritonserver killed: not ready after {away_s:.1f} s, Triton ready again after {back_s:.1f} s, "
            f"first answer {first_s:.2f} s later"
        )
    assert asked.lost == []
    assert service.part("tritonserver").pid != killed.pid
    assert service.part(STUB).is_running()
    assert await service.metric("tritone_utterances_in_flight") == 0
