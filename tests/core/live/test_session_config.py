"""What a session may be asked to do."""

from dataclasses import replace

import pytest

from gateway.core.live.session_config import SessionConfig
from gateway.core.segmenter import SegmenterConfig

CONFIG = SessionConfig(model="base")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"segmenter": SegmenterConfig(max_utterance_ms=28_001)}, "max_utterance_ms"),
        ({"audio_context_ms": 2_001}, "audio_context_ms"),
        ({"audio_context_ms": -1}, "audio_context_ms"),
        ({"partial_interval_ms": 99}, "partial_interval_ms"),
    ],
)
def test_a_bad_config_names_the_field(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(CONFIG, **changes)  # type: ignore[arg-type]  # tests change any field
