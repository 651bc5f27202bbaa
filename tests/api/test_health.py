from gateway.api.keys import ADMISSION, FLEET, STOPPING
from gateway.core.errors import ModelUnavailable
from gateway.core.recovery import Sign
from tests.fakes import FakeTranscriber
from tests.serving import Gateway, Start, form, get, post, wav


async def test_a_gateway_whose_model_answers_is_ready(gateway: Gateway) -> None:
    reply, body = await get(gateway, "/readyz")
    assert (reply.status, body["status"]) == (200, "ok")
    assert gateway.backend.canaries == 1
    assert (await get(gateway, "/livez"))[0].status == 200


async def test_readyz_names_what_failed(start: Start) -> None:
    backend = FakeTranscriber()
    backend.canary_error = ModelUnavailable("gone")
    async with start(backend, max_requests=1) as gateway:
        reply, body = await get(gateway, "/readyz")
        assert reply.status == 503
        assert body["checks"] == {
            "draining": "ok",
            "triton": "ok",
            "model": "the model can't be reached",
            "admission": "ok",
        }
        backend.sign = Sign.UNREACHABLE
        await gateway.app[FLEET].check()
        _, body = await get(gateway, "/readyz")
        assert body["checks"]["triton"] == "Triton can't be reached"
        gateway.app[STOPPING].set()
        with gateway.app[ADMISSION].enter():
            _, body = await get(gateway, "/readyz")
        assert "ok" not in body["checks"].values()
        assert body["endpoints"] == {"127.0.0.1:8001": "Triton can't be reached"}
        assert (await get(gateway, "/livez"))[0].status == 200


async def test_a_failing_request_closes_the_door_at_once(start: Start) -> None:
    async with start(recovery_wait_s=0.05) as gateway:
        gateway.backend.error = gateway.backend.canary_error = ModelUnavailable("gone")
        reply, _ = await post(gateway, form(wav(0.5)))
        assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
        assert (await get(gateway, "/readyz"))[0].status == 503
        gateway.backend.error = gateway.backend.canary_error = None
        await gateway.app[FLEET].check()
        assert (await get(gateway, "/readyz"))[0].status == 200


async def test_metrics_are_prometheus_text(gateway: Gateway) -> None:
    await post(gateway, form(wav(2.0)))
    reply, text = await get(gateway, "/metrics")
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for line in (
        "tritone_audio_seconds_total 2.0",
        "tritone_requests_in_progress 0.0",
        "tritone_permits 16.0",
        'tritone_model_ready{endpoint="127.0.0.1:8001",model="base"} 1.0',
        'tritone_requests_total{route="/v1/audio/transcriptions",status="200"} 1.0',
    ):
        assert line in text
    for stage in ("upload", "decode", "queue", "model"):
        assert f'tritone_stage_seconds_count{{stage="{stage}"}}' in text
