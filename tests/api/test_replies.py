import orjson
import pytest

from gateway.api.replies import REPLIES, bug_response, error_response
from gateway.core import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TritoneError)]


def test_there_are_errors_to_reply_to() -> None:
    assert len(CLASSES) > 10


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_row_and_an_openai_body(kind: type[errors.TritoneError]) -> None:
    row = REPLIES[kind]
    reply = error_response(kind("What went wrong.", param="file"))
    assert isinstance(reply.body, bytes)
    assert reply.status == row.status
    assert 1000 <= row.close_code < 5000
    assert orjson.loads(reply.body) == {
        "error": {"message": "What went wrong.", "type": row.type, "param": "file", "code": kind.code}
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_what_the_sdk_repeats_by_itself_says_whether_it_should(kind: type[errors.TritoneError]) -> None:
    reply = error_response(kind("x"))
    repeated = reply.status in (408, 409, 429) or reply.status >= 500
    assert reply.headers.get("x-should-retry") == ({True: "true", False: "false"}[kind.retryable] if repeated else None)
    assert ("Retry-After" in reply.headers) == (reply.status in (429, 503))


def test_retry_after_is_in_whole_seconds() -> None:
    assert error_response(errors.Overloaded("x", retry_after_s=2.1)).headers["Retry-After"] == "3"
    assert error_response(errors.Overloaded("x")).headers["Retry-After"] == "1"


def test_a_bug_tells_nothing_but_the_id() -> None:
    reply = bug_response("req_1")
    assert isinstance(reply.body, bytes)
    assert reply.status == 500
    assert orjson.loads(reply.body)["error"]["message"] == "Internal error; request req_1."
