import asyncio

import pytest

from gateway.core import errors
from gateway.core.deadline import Deadline
from gateway.core.recovery import Sign
from gateway.telemetry import Telemetry
from gateway.triton.health import Changes
from gateway.triton.warden import Warden
from tests.fakes import FakeTranscriber, warden_limits
from tests.serving import eventually


@pytest.fixture
def backend() -> FakeTranscriber:
    return FakeTranscriber()


async def checked(backend: FakeTranscriber, **limits: object) -> Warden:
    warden = Warden(backend, Telemetry(), warden_limits(**limits), Changes())
    await warden.check()
    return warden


async def test_what_triton_has_loaded_is_watched_up_to_the_bound(backend: FakeTranscriber) -> None:
    backend.models, backend.foreign, backend.unloaded = ("base", "tiny.en", "resnet", "small"), ("resnet",), ("turbo",)
    warden = await checked(backend, max_models=2)
    assert warden.models == ("base", "small")
    assert warden.foreign == {"resnet"}
    assert [entry.name for entry in warden.index] == ["base", "resnet", "small", "tiny.en", "turbo"]
    with pytest.raises(errors.NotFound):
        warden.health("turbo")
    with pytest.raises(errors.Overloaded):
        await warden.load("turbo")


async def test_what_was_unloaded_makes_room(backend: FakeTranscriber, caplog: pytest.LogCaptureFixture) -> None:
    backend.models, backend.unloaded = ("base", "small", "tiny.en"), ("turbo",)
    warden = await checked(backend, max_models=2)
    task = asyncio.create_task(warden.run())
    await warden.discover()
    assert caplog.text.count("too many models") == 1
    await warden.unload("small")
    assert warden.models == ("base", "tiny.en")
    await warden.unload("tiny.en")
    await warden.load("turbo")
    assert warden.models == ("base", "turbo")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_model_that_appears_later_is_watched_too(backend: FakeTranscriber) -> None:
    warden = await checked(backend)
    task = asyncio.create_task(warden.run())
    await asyncio.sleep(0)
    backend.models = ("base", "tiny.en")
    await warden.discover()
    await eventually(lambda: warden.health("tiny.en").refusal is None)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_two_looks_at_once_find_a_model_once(backend: FakeTranscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    warden = await checked(backend)
    asked: list[asyncio.Event] = []

    async def transcribes(model: str, *, deadline: Deadline) -> bool:
        asked.append(asyncio.Event())
        return await asked[-1].wait()

    monkeypatch.setattr(backend, "transcribes", transcribes)
    backend.models = ("base", "tiny.en")
    looks = [asyncio.create_task(warden.discover()) for _ in range(2)]
    await eventually(lambda: len(asked) == 2)
    asked[0].set()
    await looks[0]
    found = warden.keeper("tiny.en")
    asked[1].set()
    await looks[1]
    assert warden.keeper("tiny.en") is found


async def test_the_last_index_stays_when_triton_is_gone(backend: FakeTranscriber) -> None:
    warden = await checked(backend)
    backend.sign = Sign.UNREACHABLE
    await warden.check()
    assert [entry.name for entry in warden.index] == ["base"]
    assert warden.problem == "Triton can't be reached"


async def test_an_operator_loads_what_is_in_the_repository_and_nothing_else(backend: FakeTranscriber) -> None:
    backend.unloaded = ("small",)
    warden = await checked(backend)
    task = asyncio.create_task(warden.run())
    await warden.reload("small")
    assert warden.health("small").refusal is None
    with pytest.raises(errors.NotFound):
        await warden.load("gpt-4o")
    await warden.unload("small")
    assert warden.health("small").refusal == "the model is not loaded"
    await warden.reload("small")
    await warden.reload("small")
    assert [order for order in backend.orders if order[1] == "small"] == [
        ("load", "small"),
        ("unload", "small"),
        ("load", "small"),
        ("replace", "small"),
    ]
    task.cancel()
    await asyncio.wait([task])
