"""Every way in which a request can fail, without transport numbers: those stand in api/replies.py alone."""

from typing import ClassVar


class TritoneError(Exception):
    """A failure a client may be told of. `message` is written for the client: no path, no traceback, no speech."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        # It may be a client's own word, of which not every one can be sent back.
        self.param = None if param is None else param.encode(errors="replace").decode()
        self.retry_after_s = retry_after_s


class BadRequest(TritoneError):
    """An unknown field, an unsupported parameter, a message out of order."""

    code = "bad_request"


class NotFound(TritoneError):
    """A model, a session or a route that does not exist."""

    code = "not_found"


class Unauthorized(TritoneError):
    """A key is missing or wrong."""

    code = "invalid_api_key"


class Forbidden(TritoneError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class BadAudio(TritoneError):
    """Audio that can't be decoded: damaged, empty, an odd byte count."""

    code = "invalid_audio"


class UnsupportedAudio(TritoneError):
    """A container or a codec that is not on the list."""

    code = "unsupported_audio"


class UnusableAudio(TritoneError):
    """Audio in a well-formed JSON request that can't be decoded, or is too long."""

    code = "invalid_audio"


class AudioTooLong(TritoneError):
    """More bytes or more seconds than a limit allows."""

    code = "audio_too_long"


class IdleTimeout(TritoneError):
    """The client sent nothing, or too slowly, for too long."""

    code = "idle_timeout"


class QuotaExceeded(TritoneError):
    """One key's limit is reached: it is about the caller."""

    code = "quota_exceeded"
    retryable = True


class Overloaded(TritoneError):
    """The service's limit is reached: it is about us."""

    code = "overloaded"
    retryable = True


class ShuttingDown(TritoneError):
    """The service drains and takes nothing new."""

    code = "shutting_down"
    retryable = True


class DeadlineExceeded(TritoneError):
    """The time the request had is over."""

    code = "deadline_exceeded"


class ModelUnavailable(TritoneError):
    """Triton can't be reached, or the model is not loaded, or its process is gone."""

    code = "model_unavailable"
    retryable = True


class ModelFailed(TritoneError):
    """The model answered something that can't be used."""

    code = "model_failed"
