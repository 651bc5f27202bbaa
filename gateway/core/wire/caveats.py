"""What is told beside a text, the same on every door: what was left out of it, and how sure it is."""

from collections.abc import Iterable
from typing import Any

from gateway.core.audio import Filtered
from gateway.core.filters import Quality


def filtered_to_wire(filtered: Iterable[Filtered]) -> list[dict[str, str]]:
    """Each text that was left out, and why."""
    return [{"reason": each.reason, "text": each.text} for each in filtered]


def quality_to_wire(quality: Quality) -> dict[str, Any]:
    """How sure the text is, and why it is not surer."""
    return {"level": quality.level.value, "reason_codes": list(quality.reason_codes)}
