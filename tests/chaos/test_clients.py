"""Clients leave in the middle of their requests, all at once."""

import asyncio
import socket
import struct
import time

from tests.chaos.conftest import Asked, Service, until
from tests.fixtures.audio_files import SPEECH

CLIENTS = 50


def raw_request(host: str) -> bytes:
    file = (SPEECH / "library.flac").read_bytes()
    body = (
        b'--sep\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--sep\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n' + file + b"\r\n--sep--\r\n"
    )
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=sep\r\n\r\n"
    )
    return head.encode() + body


async def test_the_work_of_clients_that_reset_ends_with_them(service: Service) -> None:
    host, port = service.server.url.removeprefix("http://").split(":")
    wasted_s = await service.model_metric("tritone_model_wasted_seconds_total")
    writers = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(CLIENTS)]
    for writer in writers:
        writer.write(raw_request(host))
    await until(lambda: all_inside(service))
    for writer in writers:
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    left_at_s = time.monotonic()
    await until(lambda: nothing_queued(service))
    queued_s = time.monotonic() - left_at_s
    asked = Asked()
    await service.ask("weather", asked)
    answered_s = time.monotonic() - left_at_s
    await until(lambda: nothing_left(service))
    wasted_s = await service.model_metric("tritone_model_wasted_seconds_total") - wasted_s
    print(
        f"{CLIENTS} clients reset: the gateway's and Triton's queues empty after {queued_s:.2f} s, who came then was "
        f"answered after {answered_s:.2f} s, {wasted_s:.1f} s wasted"
    )
    # What was being decoded when its caller left may be decoded to the end: a batch for each worker.
    assert wasted_s < 10
    assert asked.statuses == {200: 1}


async def all_inside(service: Service) -> bool:
    waiting = await service.metric("tritone_utterances_waiting")
    return waiting + await service.metric("tritone_utterances_in_flight") >= CLIENTS - 10


async def nothing_queued(service: Service) -> bool:
    gateway = [
        await service.metric(f"tritone_{name}")
        for name in ("requests_in_progress", "utterances_in_flight", "utterances_waiting")
    ]
    return not any(gateway) and await service.model_metric("nv_inference_pending_request_count") == 0


async def nothing_left(service: Service) -> bool:
    return await nothing_queued(service) and await service.model_metric("tritone_model_pending_utterances") == 0
