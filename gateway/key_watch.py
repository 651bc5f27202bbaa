"""Looks whether the file of API keys has changed."""

import asyncio
import logging

from gateway.core.api_keys import KeyFileError
from gateway.key_file import KeyFile
from gateway.telemetry import Telemetry

logger = logging.getLogger(__name__)


async def watch(keys: KeyFile, telemetry: Telemetry, *, interval_s: float) -> None:
    """Reads the file again whenever it has changed; one that can't be used leaves the keys as they were."""
    telemetry.show("tritone_api_keys", "Keys that are let in", keys.__len__)
    while keys.required:
        await asyncio.sleep(interval_s)
        try:
            if await asyncio.to_thread(keys.refresh):
                telemetry.key_files.labels("ok").inc()
                logger.info("the API keys were read again", extra={"fields": {"keys": len(keys)}})
        except KeyFileError as error:
            telemetry.key_files.labels("refused").inc()
            logger.error("the API keys stay as they were: %s", error)
