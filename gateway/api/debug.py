"""GET /debug/memory: what lives in this process, for an operator who looks for a leak; never text or audio."""

import asyncio
import dataclasses

import psutil
from aiohttp import web

from gateway.api.replies import json_response
from gateway.census import MAX_TRACE_S, take_census, threads_by_name, trace_allocations
from gateway.core.wire.fields import Fields


async def memory(request: web.Request) -> web.Response:
    """What lives in this process; with `trace_s` also which lines allocated most within so many seconds."""
    fields = Fields(request.query, {"collect", "trace_s"}, is_query=True)
    collect = fields.flag("collect", False)
    trace_s = fields.integer("trace_s", 0, low=0, high=MAX_TRACE_S)
    allocations = await trace_allocations(trace_s) if trace_s else []
    process = psutil.Process()
    body = {
        "object": "memory",
        "resident_bytes": process.memory_info().rss,
        "threads": threads_by_name(),
        "files": process.num_fds(),
        # Without the one that answers this.
        "tasks": len(asyncio.all_tasks()) - 1,
        **dataclasses.asdict(take_census(collect=collect)),
        "allocations": [dataclasses.asdict(each) for each in allocations],
    }
    return json_response(body)
