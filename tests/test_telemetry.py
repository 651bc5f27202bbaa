import io
import logging
import sys
from collections.abc import Iterator

import orjson
import pytest
from aiohttp.http_exceptions import LineTooLong

from gateway.settings import Settings
from gateway.telemetry import ConsoleFormatter, JsonFormatter, Telemetry, configure_logging, request_id_var


@pytest.fixture
def record() -> Iterator[logging.LogRecord]:
    token = request_id_var.set("req_7")
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("gateway.x", logging.INFO, "", 1, "said %d", (3,), sys.exc_info())
    record.fields = {"status": 200, "code": None}
    yield record
    request_id_var.reset(token)


def test_a_json_line_has_the_request_id_and_the_fields(record: logging.LogRecord) -> None:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    data = orjson.loads(line)
    assert data["time"].endswith("Z")
    assert "ValueError: broken" in data["traceback"]
    assert {key: data[key] for key in ("level", "logger", "message", "request_id", "status")} == {
        "level": "info",
        "logger": "gateway.x",
        "message": "said 3",
        "request_id": "req_7",
        "status": 200,
    }
    assert "code" not in data


def test_a_console_line_is_for_people(record: logging.LogRecord) -> None:
    first, *trace = ConsoleFormatter().format(record).splitlines()
    assert first.endswith("info    said 3 status=200 request_id=req_7")
    assert trace[-1] == "ValueError: broken"


@pytest.mark.parametrize(("log_format", "start"), [("auto", "{"), ("json", "{")])
def test_without_a_terminal_the_log_is_json(log_format: str, start: str) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        configure_logging(Settings(log_format=log_format, log_level="warning"), stream)
        logging.getLogger("gateway.x").info("unheard")
        logging.getLogger("gateway.x").warning("heard")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert stream.getvalue().startswith(start)
    assert stream.getvalue().count("\n") == 1


def test_two_gateways_have_metrics_of_their_own() -> None:
    first, second = Telemetry(), Telemetry()
    first.upload_bytes.inc(5)
    assert b"tritone_upload_bytes_total 5.0" in first.exposition()
    assert b"tritone_upload_bytes_total 0.0" in second.exposition()


def test_what_is_gone_is_told_no_more() -> None:
    telemetry = Telemetry()
    for endpoint in ("a:1", "b:1"):
        telemetry.canaries.labels(endpoint, "ok").inc()
        for model in ("base", "small"):
            telemetry.model_ready.labels(endpoint, model).set(1)
            telemetry.breaker_opened.labels(endpoint, model).inc()
            telemetry.restorations.labels(endpoint, model, "heal", "dead", "loaded").inc()
            telemetry.replacements.labels(endpoint, model, "memory", "ok").inc()
    telemetry.forget_model("b:1", "small")
    assert telemetry.exposition().count(b'endpoint="b:1",model="small"') == 0
    assert telemetry.exposition().count(b'endpoint="b:1",model="base"') > 0
    telemetry.forget("a:1")
    assert telemetry.exposition().count(b"a:1") == 0
    assert telemetry.exposition().count(b"b:1") > 0


def test_what_is_no_http_is_logged_without_its_bytes() -> None:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging(Settings(log_format="json"), stream)
        logging.getLogger("aiohttp.server").error("Error", exc_info=LineTooLong(b"Authorization: Bearer secret", 8))
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert orjson.loads(stream.getvalue())["level"] == "info"
    assert "secret" not in stream.getvalue()
