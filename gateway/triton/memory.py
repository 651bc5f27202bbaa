"""What the models' processes hold, from Triton's metrics page, and what they may hold on this machine."""

import re
from pathlib import Path
from typing import Final

import aiohttp
import psutil

_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
_RESIDENT: Final = re.compile(r'^tritone_model_resident_bytes\{[^}]*model="([^"]+)"[^}]*\} ([0-9.e+]+)$', re.MULTILINE)
_TIMEOUT_S: Final = 5.0
_MAX_PAGE_BYTES: Final = 4 * 1024 * 1024


async def resident_bytes(metrics_address: str) -> dict[str, int]:
    """The resident size of each model's process. Raises OSError or TimeoutError if the page can't be had."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"http://{metrics_address}/metrics", raise_for_status=True) as answer,
        ):
            page = bytearray()
            async for piece in answer.content.iter_any():
                page += piece
                if len(page) > _MAX_PAGE_BYTES:
                    raise OSError("the page is too long")
    except aiohttp.ClientError as error:
        raise OSError(str(error)) from error
    return {model: int(float(number)) for model, number in _RESIDENT.findall(page.decode(errors="replace"))}


def machine_bytes(cgroup_limit: Path = _CGROUP_LIMIT) -> int:
    """The memory of this machine, or of the container if that is less."""
    total: int = psutil.virtual_memory().total
    try:
        text = cgroup_limit.read_text().strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdecimal() else total
