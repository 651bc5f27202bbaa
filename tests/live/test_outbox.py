import orjson
import pytest

from gateway.core.errors import BadRequest
from gateway.core.live.effects import Closed, Message, Partial
from gateway.live.outbox import Outbox
from gateway.telemetry import Telemetry

ACCOUNT = Closed(1, 2, 3, 4)


def wire(message: Message) -> list[dict[str, str]]:
    return [{"told": message.text if isinstance(message, Partial) else "account"}]


def outbox(*, max_messages: int = 4, replaces_partials: bool = True) -> Outbox:
    return Outbox(wire, Telemetry().live, max_messages=max_messages, replaces_partials=replaces_partials)


async def all_of(box: Outbox) -> list[str]:
    told = []
    while (frame := await box.get()) is not None:
        told.append(orjson.loads(frame)["told"])
    return told


async def test_everything_comes_in_order_and_then_the_end() -> None:
    box = outbox()
    box.put({"told": "first"})
    box.tell(ACCOUNT)
    box.close()
    box.put({"told": "too late"})
    assert (await all_of(box), box.error) == (["first", "account"], None)


@pytest.mark.parametrize(("replaces", "expected"), [(True, ["account", "b"]), (False, ["a", "account", "b"])])
async def test_an_interim_result_overtakes_the_one_that_waits(replaces: bool, expected: list[str]) -> None:
    box = outbox(replaces_partials=replaces)
    box.tell(Partial(0, "a", ""))
    box.tell(ACCOUNT)
    box.tell(Partial(1, "b", ""))
    box.close()
    assert await all_of(box) == expected


async def test_an_interim_result_that_was_sent_is_not_looked_for() -> None:
    box = outbox()
    box.tell(Partial(0, "a", ""))
    await box.get()
    box.tell(Partial(0, "a", ""))
    box.close()
    assert await all_of(box) == ["a"]


async def test_a_client_that_does_not_read_is_let_go() -> None:
    box = outbox(max_messages=2)
    for _ in range(3):
        box.tell(ACCOUNT)
    assert await all_of(box) == []
    assert box.error is not None
    assert box.error.reason == "slow_reader"


async def test_an_interim_result_that_waited_when_it_was_let_go_is_not_looked_for() -> None:
    box = outbox(max_messages=2)
    box.tell(Partial(0, "a", ""))
    box.tell(ACCOUNT)
    box.tell(ACCOUNT)
    box.tell(Partial(0, "b", ""))
    assert await all_of(box) == []


async def test_interim_results_never_fill_it() -> None:
    box = outbox(max_messages=2)
    box.tell(ACCOUNT)
    for number in range(9):
        box.tell(Partial(0, str(number), ""))
    box.close()
    assert await all_of(box) == ["account", "8"]


async def test_the_first_error_counts() -> None:
    box = outbox()
    first = BadRequest("first")
    box.close(first)
    box.close(BadRequest("second"))
    assert box.error is first
