import asyncio
import threading
from typing import Any

import pytest

from gateway.__main__ import main
from tests.serving import Gateway, Start, get

KEY = "correct horse"
MEMORY = "/debug/memory"


async def counted(gateway: Gateway) -> Any:
    _, body = await get(gateway, f"{MEMORY}?collect=true")
    return body


async def test_what_is_left_pending_is_counted(start: Start) -> None:
    # The checks of the model would come and go among the counts.
    async with start(pulse_interval_s=600, canary_interval_s=600) as gateway:
        before = await counted(gateway)
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        after = await counted(gateway)
        assert after["tasks"] - before["tasks"] == 1
        # The futures, the task, and what it waits for.
        assert after["pending_futures"] - before["pending_futures"] == len(futures) + 2
        assert (
            after["own"]["gateway.core.admission.Admission"] == before["own"]["gateway.core.admission.Admission"] >= 1
        )
        assert after["objects"] > 10_000
        assert after["allocations"] == []
        task.cancel()
        assert (await counted(gateway))["pending_futures"] == before["pending_futures"] + len(futures)


async def test_what_grows_is_named_by_its_line_and_traced_once_at_a_time(gateway: Gateway) -> None:
    kept: list[bytearray] = []
    async with asyncio.TaskGroup() as group:
        tracing = [group.create_task(get(gateway, f"{MEMORY}?trace_s=1")) for _ in range(2)]
        while not all(task.done() for task in tracing):
            kept.append(bytearray(100_000))
            await asyncio.sleep(0.01)
    bodies = {reply.status: body for reply, body in (task.result() for task in tracing)}
    assert bodies.keys() == {200, 429}
    assert bodies[429]["error"]["code"] == "already_tracing"
    body = bodies[200]
    largest = body["allocations"][0]
    assert largest["where"].partition(":")[0] == "tests/api/test_debug.py"
    assert largest["size_bytes"] > 1_000_000


@pytest.mark.parametrize("query", ["trace_s=301", "trace_s=x", "collect=7", "top=3"])
async def test_a_bad_query_is_refused(gateway: Gateway, query: str) -> None:
    reply, body = await get(gateway, f"{MEMORY}?{query}")
    assert (reply.status, body["error"]["type"]) == (400, "invalid_request_error")


async def test_it_is_for_operators(start: Start) -> None:
    async with start(admin_key=KEY) as gateway:
        reply, _ = await get(gateway, MEMORY)
        assert reply.status == 401
        reply, _ = await get(gateway, MEMORY, headers={"Authorization": f"Bearer {KEY}"})
        assert reply.status == 200


async def test_tasks_are_a_metric(gateway: Gateway) -> None:
    _, page = await get(gateway, "/metrics")
    (line,) = (line for line in page.splitlines() if line.startswith("tritone_tasks "))
    assert float(line.split()[1]) >= len(asyncio.all_tasks()) - 1


async def test_the_command_prints_a_table(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(gateway.port)
    assert await asyncio.to_thread(main, ["debug", "--port", port, "--trace-s", "1"]) == 0
    out = capsys.readouterr().out
    for told in ("resident bytes", "pending futures", "gateway.core.admission.Admission", "bytes grown"):
        assert told in out
    assert await asyncio.to_thread(main, ["debug", "--port", port, "--trace-s", "999"]) == 1


async def test_threads_are_counted_by_name(gateway: Gateway) -> None:
    async with asyncio.timeout(30):
        before = (await counted(gateway))["threads"]
        ended = threading.Event()
        waiting = threading.Thread(target=ended.wait, name="waits for a test")
        waiting.start()
        try:
            during = (await counted(gateway))["threads"]
        finally:
            ended.set()
            waiting.join()
    assert before["MainThread"] == during["MainThread"] == 1
    assert during["waits for a test"] == 1
    assert "waits for a test" not in before
