"""What no client should send, as hypothesis strategies, and how many cases of it a run tries."""

import json
import os
from base64 import b64encode
from functools import cache

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gateway.api.form import CHOICES, FLAGS, GRANULARITIES, NUMBERS, TEXTS, UNSUPPORTED, ResponseFormat
from gateway.api.schemas import REALTIME_QUERY, STREAM_QUERY
from tests.fixtures.audio_files import encode, speech, wav_bytes
from tests.fixtures.bad_audio import bad_files
from tests.live.talking import tone

TIMES = int(os.environ.get("TRITONE_MALFORMED_TIMES", "1"))


def cases(count: int) -> settings:
    """`count` cases of a usual run; TRITONE_MALFORMED_TIMES multiplies."""
    return settings(max_examples=count * TIMES, deadline=None, suppress_health_check=list(HealthCheck))


words = st.sampled_from(
    ("", " ", "0", "-1", "1e999", "nan", "inf", "0.5", "2.5", "true", "FALSE", "null", "en", "xx", "auto", "whisper-1")
)
texts = words | st.text(max_size=40) | st.sampled_from(("\0", "\ud800", "a" * 5000, "é" * 300, "../etc", "{}", "[]"))
numbers = st.integers() | st.floats() | st.integers(-(2**80), 2**80)
values = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)

field_names = (
    st.sampled_from(sorted((*NUMBERS, *FLAGS, *TEXTS, *CHOICES, *UNSUPPORTED)))
    .flatmap(lambda name: st.sampled_from((name, f"{name}[]")))
    .filter(lambda name: name != "timeout_s")  # asks for a 504, and gets it
)
field_values = st.sampled_from((*ResponseFormat, *GRANULARITIES)) | texts
fields = st.lists(st.tuples(field_names | texts, field_values), max_size=8)

# What the model is asked, so that it is the audio, or the words, that are wrong.
model_fields = st.fixed_dictionaries(
    {"model": st.just("whisper-1")},
    optional={
        "prompt": texts,
        "hotwords": texts,
        "response_format": st.sampled_from(ResponseFormat),
        "temperature": st.sampled_from(("0", "0.7", "1")),
        "beam_size": st.sampled_from(("1", "10")),
        "log_prob_threshold": st.sampled_from(("0", "-100")),
        "no_speech_threshold": st.sampled_from(("0", "1")),
        "compression_ratio_threshold": st.sampled_from(("0", "100")),
        "vad_filter": st.sampled_from(("true", "false")),
        "stream": st.sampled_from(("true", "false")),
    },
).map(lambda values: list(values.items()))

query_names = st.sampled_from(sorted({*STREAM_QUERY, *REALTIME_QUERY, "type"}))
json_objects = st.dictionaries(query_names | texts, anything, max_size=6)
queries = st.dictionaries(query_names | texts, texts, max_size=6)

stream_messages = st.one_of(
    st.sampled_from(["finalize", "keepalive", "reset", "close", "dance", "session.started"]).map(
        lambda kind: {"type": kind}
    ),
    json_objects.map(lambda values: {**values, "type": "configure"}),
    st.fixed_dictionaries(
        {"type": st.just("configure")},
        optional={
            "language": st.sampled_from(["en", "de", "xx", None]),
            "sample_rate": st.sampled_from([8_000, 16_000, 48_000, 0, "16000"]),
            "encoding": st.sampled_from(["pcm16", "f32", "mulaw", "alaw", "opus", "mp3"]),
            "interim_results": st.booleans(),
            "silence_ms": st.sampled_from([300, 500, -1]),
            "max_utterance_ms": st.sampled_from([1_000, 2_000, 28_000, 10**9]),
            "text_context": st.booleans(),
            "session_id": st.text(max_size=5),
        },
    ),
    anything,
)

turns = st.none() | st.fixed_dictionaries({"type": st.sampled_from(["server_vad", "semantic_vad"])}) | anything
inputs = st.fixed_dictionaries(
    {}, optional={"turn_detection": turns, "format": anything, "transcription": anything, "noise_reduction": anything}
)
realtime_messages = st.one_of(
    st.sampled_from(["commit", "clear", "append", "speak"]).map(lambda kind: {"type": f"input_audio_buffer.{kind}"}),
    st.sampled_from([tone(0.3), tone(1.2), b"\1", b""]).map(
        lambda audio: {"type": "input_audio_buffer.append", "audio": b64encode(audio).decode()}
    ),
    texts.map(lambda text: {"type": "input_audio_buffer.append", "audio": text}),
    inputs.map(lambda each: {"type": "session.update", "session": {"type": "transcription", "audio": {"input": each}}}),
    anything.map(lambda session: {"type": "session.update", "session": session}),
    anything,
)
live_audio = st.one_of(
    st.sampled_from([tone(0.3), tone(1.2), tone(0.1)[:-1], b"OggS" + bytes(60), b"\xff" * 400, bytes(70_000)]),
    st.binary(max_size=200),
)


def steps(messages: st.SearchStrategy[object]) -> st.SearchStrategy[list[bytes | str]]:
    """What a client says over a WebSocket, one message after the other."""
    said = messages.map(json.dumps) | texts.filter(lambda text: text.isprintable())
    return st.lists(live_audio | said, max_size=12)


@cache
def sound_files() -> tuple[bytes, ...]:
    """A third of a second of speech in every container."""
    sound = speech("doctor")[8_000:13_000]
    return (
        wav_bytes(sound),
        encode(sound, "flac", "flac"),
        encode(sound, "mp3", "libmp3lame"),
        encode(sound, "adts", "aac"),
        encode(sound, "mp4", "aac"),
        encode(sound, "ogg", "libopus", 48_000),
        encode(sound, "ogg", "vorbis", layout="stereo"),
        encode(sound, "webm", "libopus", 48_000),
        encode(sound, "wav", "adpcm_ms"),
        encode(sound, "mpeg", "mp2"),
    )


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with a few of them changed, put in, left out or said twice; most damage is near the start."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, min(len(data), 400)) | st.integers(0, len(data)))
        other = draw(st.binary(min_size=1, max_size=8) | st.sampled_from((b"\xff" * 8, bytes(8), b"\x7f\xff\xff\xff")))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(("set", "set", "insert", "cut", "repeat", "end"))):
            case "set":
                data[at : at + len(other)] = other
            case "insert":
                data[at:at] = other
            case "cut":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + length]
            case _:
                del data[at:]
    return bytes(data)


audio_files = st.deferred(lambda: damaged(st.sampled_from(sound_files()))) | st.binary(max_size=300)
refused_files = st.deferred(lambda: st.sampled_from([bad.data for bad in bad_files() if len(bad.data) < 50_000]))

_BOUNDARY = b"a-boundary"


@st.composite
def forms(draw: st.DrawFn, said: st.SearchStrategy[list[tuple[str, str]]] = fields) -> tuple[str, bytes]:
    """A multipart body with its content type, damaged or not."""
    body = bytearray()
    for name, value in draw(said):
        body += b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
            _BOUNDARY,
            _bytes(name),
            _bytes(value),
        )
    file = draw(audio_files)
    head = b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' % _BOUNDARY
    body += head + file + b"\r\n--%b--\r\n" % _BOUNDARY
    kind = draw(
        st.sampled_from(
            (
                *("multipart/form-data; boundary=a-boundary",) * 6,
                *("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=a-boundary"),
                *("application/json", "", "multipart/form-data; boundary=" + "b" * 200),
            )
        )
    )
    return kind, draw(damaged(st.just(bytes(body)))) if draw(st.booleans()) else bytes(body)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
