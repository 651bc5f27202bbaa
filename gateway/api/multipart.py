"""Takes a multipart form apart as its bytes come; the only importer of python_multipart."""

from dataclasses import dataclass, field
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.core.errors import AudioTooLong, BadRequest

FILE_FIELD = "file"
FORM = b"multipart/form-data"
MAX_FIELDS = 256
_PLAIN = (b"binary", b"8bit", b"7bit")


@dataclass(slots=True)
class Upload:
    """A form: `file` at its start, its size, and the other fields in the order they came."""

    file: BinaryIO
    file_bytes: int | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What a file and a field may hold, in bytes."""

    file_bytes: int
    field_bytes: int


class Form:
    """Fills `upload`. Every method raises BadRequest (damaged, or no form) and AudioTooLong."""

    def __init__(self, content_type: str, upload: Upload, limits: FormLimits) -> None:
        kind, options = parse_options_header(content_type.encode(errors="surrogateescape"))
        if kind != FORM:
            raise BadRequest("The body must be multipart/form-data.", code="invalid_form")
        if not options.get(b"boundary"):
            message = "The Content-Type names no boundary. Whoever makes the form sets it, with the boundary it used."
            raise BadRequest(message, code="invalid_form")
        self._upload = upload
        self._limits = limits
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._value = bytearray()
        self._is_whole = False
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open,
                    "on_part_data": self._receive,
                    "on_part_end": self._close,
                    "on_end": self._end,
                },
            )
        except FormParserError:
            raise _damaged() from None

    def write(self, data: bytes) -> None:
        """The next bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise _damaged() from None

    def finish(self) -> None:
        """The body has ended."""
        if not self._is_whole:
            raise _damaged()

    def _begin(self) -> None:
        self._headers = {}

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value).strip()
        self._header = (bytearray(), bytearray())

    def _open(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        # What is no UTF-8 stays apart from every name there is.
        self._name = options.get(b"name", b"").decode(errors="surrogateescape")
        is_plain = self._headers.get(b"content-transfer-encoding", _PLAIN[0]).lower() in _PLAIN
        is_nested = self._headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        if disposition != b"form-data" or not self._name or not is_plain or is_nested:
            raise BadRequest("A part of the form is nested, encoded, or has no name.", code="invalid_form")
        if self._name == FILE_FIELD:
            if self._upload.file_bytes is not None:
                raise BadRequest("The form has more than one file.", code="invalid_form", param=FILE_FIELD)
            self._upload.file_bytes = 0
        elif len(self._upload.fields) >= MAX_FIELDS:
            raise BadRequest(f"The form has more than {MAX_FIELDS} fields.", code="invalid_form")

    def _receive(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE_FIELD:
            assert self._upload.file_bytes is not None
            self._upload.file_bytes += end - start
            if self._upload.file_bytes > self._limits.file_bytes:
                raise too_large(self._limits)
            self._upload.file.write(memoryview(data)[start:end])
            return
        self._value += memoryview(data)[start:end]
        if len(self._value) > self._limits.field_bytes:
            raise BadRequest(
                f"The field is larger than {self._limits.field_bytes} bytes.", code="field_too_large", param=self._name
            )

    def _close(self) -> None:
        if self._name == FILE_FIELD:
            return
        try:
            self._upload.fields.append((self._name, self._value.decode()))
        except UnicodeDecodeError:
            raise BadRequest("The field is not UTF-8 text.", code="invalid_parameter", param=self._name) from None
        self._value = bytearray()

    def _end(self) -> None:
        self._is_whole = True


def too_large(limits: FormLimits) -> AudioTooLong:
    """The file is over its limit."""
    return AudioTooLong(f"The file is larger than {limits.file_bytes} bytes.", code="file_too_large", param=FILE_FIELD)


def _damaged() -> BadRequest:
    return BadRequest("The form is damaged.", code="invalid_form")
