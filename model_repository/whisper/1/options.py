"""What a request may ask for: request parameters checked and made into Options."""

from collections.abc import Mapping
from dataclasses import dataclass

from faster_whisper.tokenizer import _LANGUAGE_CODES, _TASKS

MAX_PROMPT_TOKENS = 224
"""Half of Whisper's text context, the share its own decoder gives to earlier text (openai/whisper, decoding.py)."""

MAX_BEAM_SIZE = 10
MAX_PATIENCE = 4.0


class RequestError(Exception):
    """A request that can't be served; `param` names what is wrong with it. The message is safe to show."""

    def __init__(self, code: str, message: str, param: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options of one request. `temperature` None means the fallback ladder from 0.

    `once`: what looks wrong is not decoded again, and answered without its text.
    """

    language: str | None = None
    languages: tuple[str, ...] = ()
    task: str = "transcribe"
    prompt: str = ""
    hotwords: str = ""
    beam_size: int = 5
    patience: float = 1.0
    temperature: float | None = None
    timestamps: bool = False
    word_timestamps: bool = False
    language_probabilities: bool = False
    no_speech_threshold: float = 0.6
    log_prob_threshold: float = -1.0
    compression_ratio_threshold: float = 2.4
    suppress_tokens: tuple[int, ...] = (-1,)
    full_window: bool = False
    once: bool = False
    canary: bool = False
    urgent: bool = False
    deadline_unix_ms: int | None = None


def parse_options(parameters: Mapping[str, object], *, multilingual: bool) -> Options:
    """Options from Triton's request parameters; raises RequestError naming the parameter that can't be honoured."""
    known = {name: value for name, value in parameters.items() if value is not None}
    options = Options(
        language=_language(known.pop("language", None), multilingual),
        languages=_languages(known.pop("languages", ""), multilingual),
        task=_task(known.pop("task", "transcribe"), multilingual),
        prompt=_text(known, "prompt"),
        hotwords=_text(known, "hotwords"),
        beam_size=int(_number(known, "beam_size", 5, 1, MAX_BEAM_SIZE)),
        patience=_number(known, "patience", 1.0, 1.0, MAX_PATIENCE),
        # Next to nothing divides the scores by next to nothing.
        temperature=round(_number(known, "temperature", 0.0, 0.0, 1.0), 3) or None,
        timestamps=_flag(known, "timestamps"),
        word_timestamps=_flag(known, "word_timestamps"),
        language_probabilities=_flag(known, "language_probabilities"),
        no_speech_threshold=_number(known, "no_speech_threshold", 0.6, 0.0, 1.0),
        log_prob_threshold=_number(known, "log_prob_threshold", -1.0, -100.0, 0.0),
        compression_ratio_threshold=_number(known, "compression_ratio_threshold", 2.4, 0.0, 100.0),
        suppress_tokens=_token_list(known.pop("suppress_tokens", "-1")),
        full_window=_window(known.pop("window", "auto")),
        once=_flag(known, "once"),
        canary=_flag(known, "canary"),
        urgent=_flag(known, "urgent"),
        deadline_unix_ms=int(_number(known, "deadline_unix_ms", 0, 0, 2**53)) or None,
    )
    if known:
        name = next(iter(known))
        raise RequestError("unsupported_parameter", f"unknown parameter '{name}'", name)
    return options


def _language(value: object, multilingual: bool) -> str | None:
    if value is None:
        return None if multilingual else "en"
    if value not in _LANGUAGE_CODES:
        raise RequestError("unsupported_language", "language is not an ISO-639-1 code that Whisper knows", "language")
    if not multilingual and value != "en":
        raise RequestError("unsupported_language", f"this model knows English only, not '{value}'", "language")
    return str(value)


def _languages(value: object, multilingual: bool) -> tuple[str, ...]:
    codes = tuple(code.strip() for code in str(value).split(",") if code.strip())
    for code in codes:
        _language(code, multilingual)
    return codes


def _task(value: object, multilingual: bool) -> str:
    if value not in _TASKS:
        raise RequestError("invalid_parameter", "task is 'transcribe' or 'translate'", "task")
    if value == "translate" and not multilingual:
        raise RequestError("unsupported_parameter", "this model knows English only and can't translate", "model")
    return str(value)


def _text(known: dict[str, object], name: str) -> str:
    value = known.pop(name, "")
    if not isinstance(value, str):
        raise RequestError("invalid_parameter", f"{name} must be text", name)
    return value.strip()


def _number(known: dict[str, object], name: str, default: float, low: float, high: float) -> float:
    value = known.pop(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError("invalid_parameter", f"{name} must be a number from {low:g} to {high:g}", name)
    return value


def _flag(known: dict[str, object], name: str) -> bool:
    value = known.pop(name, False)
    if not isinstance(value, bool):
        raise RequestError("invalid_parameter", f"{name} must be true or false", name)
    return value


def _token_list(value: object) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in str(value).split(",") if part.strip())
    except ValueError:
        raise RequestError(
            "invalid_parameter", "suppress_tokens is a comma-separated list of ids", "suppress_tokens"
        ) from None


def _window(value: object) -> bool:
    if value not in ("auto", "full"):
        raise RequestError("invalid_parameter", "window is 'auto' or 'full'", "window")
    return value == "full"
