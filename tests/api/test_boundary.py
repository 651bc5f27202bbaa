from typing import Any

import pytest

from gateway.api.keys import TELEMETRY
from gateway.core.audio import Transcript
from tests.fakes import FakeTranscriber, transcript
from tests.serving import Gateway, Start, eventually, form, get, post, wav


async def test_the_clients_request_id_comes_back(gateway: Gateway) -> None:
    reply, _ = await get(gateway, "/livez", headers={"x-request-id": "abc-1:2/3"})
    assert reply.headers["x-request-id"] == "abc-1:2/3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", '"><script>'])
async def test_an_id_that_could_harm_a_log_is_replaced(gateway: Gateway, given: str) -> None:
    reply, _ = await get(gateway, "/livez", headers={"x-request-id": given})
    assert reply.headers["x-request-id"].startswith("req_")


async def test_errors_carry_the_id_too(gateway: Gateway) -> None:
    reply, _ = await post(gateway, form(b""), headers={"x-request-id": "bad-1"})
    assert (reply.status, reply.headers["x-request-id"]) == (400, "bad-1")


async def test_no_such_route(gateway: Gateway) -> None:
    reply, body = await get(gateway, "/v2/nothing")
    assert (reply.status, body["error"]["code"], body["error"]["type"]) == (404, "not_found", "invalid_request_error")


async def test_a_method_that_is_not_taken(gateway: Gateway) -> None:
    reply, body = await get(gateway, "/v1/audio/transcriptions")
    assert (reply.status, body["error"]["code"], reply.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_a_bug_is_logged_once_and_not_told(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    gateway.backend.error = ZeroDivisionError("/secret/path")
    reply, body = await post(gateway, form(wav(0.5)))
    assert reply.status == 500
    assert "secret" not in str(body)
    assert reply.headers["x-request-id"] in body["error"]["message"]
    assert [record.exc_info is not None for record in caplog.records].count(True) == 1


async def test_a_client_that_is_gone_when_it_is_written_to_is_no_bug(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.backend.error = ConnectionResetError("Cannot write to closing transport")
    reply, _ = await post(gateway, form(wav(0.5)))
    assert reply.status == 499
    assert not any(record.exc_info for record in caplog.records)
    text = gateway.app[TELEMETRY].exposition().decode()
    assert 'tritone_errors_total{code="client_left"} 1.0' in text


async def test_a_request_is_recorded_when_its_whole_answer_is_sent(start: Start) -> None:
    class Talkative(FakeTranscriber):
        async def transcribe(self, *given: Any, **named: Any) -> Transcript:
            await super().transcribe(*given, **named)
            return transcript("x" * 32_000_000)

    async with start(Talkative()) as gateway:
        recorded = gateway.app[TELEMETRY].requests.labels("/v1/audio/transcriptions", "200")._value
        reply = await gateway.client.post("/v1/audio/transcriptions", data=form(wav(0.5)))
        assert recorded.get() == 0
        await reply.read()
        await eventually(lambda: recorded.get() == 1)


async def test_requests_are_counted_by_route_not_by_path(gateway: Gateway) -> None:
    await get(gateway, "/v1/models/base")
    await get(gateway, "/nothing")
    text = gateway.app[TELEMETRY].exposition().decode()
    assert 'tritone_requests_total{route="/v1/models/{id}",status="200"} 1.0' in text
    assert 'tritone_requests_total{route="none",status="404"} 1.0' in text


async def test_the_time_of_a_request_is_not_a_sessions(gateway: Gateway) -> None:
    await get(gateway, "/v1/models")
    async with gateway.client.ws_connect("/v1/stream?language=en") as socket:
        await socket.receive()
    await eventually(lambda: "/v1/stream" in gateway.app[TELEMETRY].exposition().decode())
    text = gateway.app[TELEMETRY].exposition().decode()
    assert 'tritone_requests_total{route="/v1/stream",status="101"} 1.0' in text
    assert 'tritone_request_seconds_count{route="/v1/models"} 1.0' in text
    assert 'tritone_request_seconds_count{route="/v1/stream"}' not in text


async def test_no_word_of_the_client_is_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await post(gateway, form(wav(0.5), prompt="Rumpelstiltskin"))
    await post(gateway, form(wav(0.5), colour="Rumpelstiltskin"))
    logged = [str(vars(record)) for record in caplog.records if record.name.startswith("gateway")]
    assert logged
    assert not any("Rumpelstiltskin" in line or "piece" in line for line in logged)


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/v2/none", 417)])
async def test_what_nobody_expects_is_answered(
    gateway: Gateway, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    async with gateway.client.get(path, headers={"Expect": "the-inquisition"}) as reply:
        assert (reply.status, bool(reply.headers["x-request-id"])) == (status, True)
    assert "Traceback" not in caplog.text


async def test_a_body_that_waits_to_be_wanted_is_taken(gateway: Gateway) -> None:
    async with gateway.client.post("/v1/audio/transcriptions", data=form(wav(1.0)), expect100=True) as reply:
        assert reply.status == 200
