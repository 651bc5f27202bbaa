"""Three times the load that there is room for: what is taken is answered in its time, the rest is told at once."""

import time
from collections import Counter

from loadtests.storm import Caller, answered, connected, rate_per_s, refused
from tests.chaos.conftest import Asked, Service, until
from tests.fixtures.audio_files import TRANSCRIPTS, speech_file

CAPACITY_S = 4.0
STORM_S = 8.0
DEADLINE_S = 60.0
# The promise is 0.6 s; this machine may be busy with other tests.
PATIENCE_S = 10.0


async def test_more_than_there_is_room_for_is_refused_and_the_rest_is_served(service: Service) -> None:
    clips = [speech_file(name).read_bytes() for name in sorted(TRANSCRIPTS)]
    async with connected(service.server.url) as http:
        caller = Caller(http, clips, deadline_s=DEADLINE_S)
        began_at_s = time.monotonic()
        capacity_per_s = rate_per_s(answered(await caller.closed_loop(32, CAPACITY_S)), began_at_s, CAPACITY_S)
        fates = await caller.open_loop(3 * capacity_per_s, STORM_S)
    print(f"{capacity_per_s:.1f}/s is what it can; of {len(fates)}: {Counter(fate.status for fate in fates)}")
    assert {fate.status for fate in fates} == {200, 503}
    assert all(fate.retry_after for fate in refused(fates))
    assert max(fate.elapsed_s for fate in fates) < DEADLINE_S + PATIENCE_S
    await until(lambda: nothing_left(service))
    asked = Asked()
    await service.ask("train", asked)
    assert asked.statuses == {200: 1}


async def nothing_left(service: Service) -> bool:
    left = [await service.metric(f"tritone_{name} ") for name in ("requests_in_progress", "utterances_in_flight")]
    return not any(left)
