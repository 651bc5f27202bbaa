"""All live sessions: who may come in, who may come back, and how they end together."""

import asyncio
import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from gateway.core.admission import Admission, Lane, Permit
from gateway.core.errors import BadRequest, NotFound, QuotaExceeded, ShuttingDown, TritoneError, Unauthorized
from gateway.core.live.session_config import SessionConfig
from gateway.live.presence import Attendance, Identity
from gateway.live.session import BUG, LiveSession
from gateway.live.shared import Shared
from gateway.telemetry import Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """Sessions at once, altogether and of one caller; what waits for its first message or its client counts."""

    max_sessions: int
    max_sessions_per_key: int


class Registry:
    """Every session from its seat to its end. Each has one task here, which is gone when the session is."""

    def __init__(self, shared: Shared, admission: Admission, limits: RegistryLimits) -> None:
        self.shared = shared
        self.limits = limits
        self.seats = 0
        self._seats_of: Counter[str] = Counter()
        self._admission = admission
        self._sessions: dict[str, LiveSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._nobodys_token = secrets.token_urlsafe(24)

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def callers(self) -> int:
        """How many have a seat."""
        return len(self._seats_of)

    @property
    def sessions(self) -> Iterable[LiveSession]:
        """The sessions there are now."""
        return tuple(self._sessions.values())

    def admit(self, caller: str) -> Permit:
        """A seat for a session to come. Raises Overloaded, QuotaExceeded."""
        try:
            if reason := self._admission.congested(Lane.LIVE):
                raise self._admission.overloaded(reason)
            if self.seats >= self.limits.max_sessions:
                raise self._admission.overloaded("too many live sessions are open")
            if self._seats_of[caller] >= self.limits.max_sessions_per_key:
                raise QuotaExceeded("You have too many live sessions open.")
        except TritoneError as error:
            self.shared.telemetry.refused.labels(error.reason).inc()
            raise
        self.seats += 1
        self._seats_of[caller] += 1
        return Permit(partial(self._leave, caller))

    async def open(self, seat: Permit, config: SessionConfig, *, door: str, name: str | None = None) -> LiveSession:
        """A new session, which takes `seat` over. Raises BadRequest where there is one of this name, ShuttingDown."""
        if self._draining:
            raise ShuttingDown("The service is stopping.")
        session_id = name or f"sess_{secrets.token_hex(12)}"
        if session_id in self._sessions:
            raise BadRequest("There is a session of this name.", code="session_exists", param="session_id")
        self.shared.limits.checked(config)  # before the seat changes hands
        attendance = Attendance(self._admission.attend)
        identity = Identity(id=session_id, door=door, seat=seat.hand_over(), attendance=attendance)
        session = LiveSession(identity, config, self.shared)
        self._sessions[session_id] = session
        task = asyncio.create_task(session.run(), name=session_id)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ran, session))
        try:
            # Once around the loop, and it can start tasks.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            session.end("client_left")
            raise
        if session.end_reason:
            # A drain began in between.
            raise ShuttingDown("The service is stopping.")
        return session

    def resume(self, session_id: str, token: str) -> LiveSession:
        """The session of a client that comes back. Raises Unauthorized, which does not tell what was wrong."""
        session = self._sessions.get(session_id)
        expected = session.identity.resume_token if session else self._nobodys_token
        if not hmac.compare_digest(expected.encode(), token.encode()) or session is None or session.end_reason:
            raise Unauthorized("No session can be resumed with this id and token.", code="invalid_resume_token")
        return session

    def find(self, session_id: str) -> LiveSession:
        """The session of this name. Raises NotFound."""
        if session_id not in self._sessions:
            raise NotFound("There is no such session.", code="session_not_found")
        return self._sessions[session_id]

    def drain(self, *, within_s: float) -> None:
        """Lets every session answer what it has and close; who waits for a client has nobody to answer.

        No other is opened, by a client that is connected already, either.
        """
        self._draining = True
        for session in self.sessions:
            if session.attached:
                session.finish(ShuttingDown("The service is stopping."), within_s=within_s)
            else:
                session.end("drained")

    async def close(self) -> None:
        """Ends what is left; no task remains."""
        for session in self.sessions:
            session.end("drained", ShuttingDown("The service is stopping."))
        if self._tasks:
            await asyncio.wait(self._tasks)

    def watch(self, telemetry: Telemetry) -> None:
        """Shows the counts and limits."""
        budget = self.shared.budget
        counts = (
            ("tritone_sessions", "Live sessions and clients about to open one", lambda: self.seats),
            ("tritone_sessions_limit", "Live sessions that may be open", lambda: self.limits.max_sessions),
            (
                "tritone_sessions_detached",
                "Live sessions that wait for their client to come back",
                lambda: sum(not session.attached for session in self.sessions),
            ),
            ("tritone_live_audio_bytes", "Audio held for live sessions", lambda: budget.held_bytes),
            ("tritone_live_audio_limit_bytes", "Audio that may be held for them", lambda: budget.limit_bytes),
        )
        for name, text, read in counts:
            telemetry.show(name, text, read)

    def _leave(self, caller: str) -> None:
        self.seats -= 1
        self._seats_of[caller] -= 1
        if not self._seats_of[caller]:
            del self._seats_of[caller]

    def _ran(self, session: LiveSession, task: asyncio.Task[None]) -> None:
        """The end of a session's task. A bug in one session is logged here, and is no matter of the others."""
        self._tasks.discard(task)
        del self._sessions[session.identity.id]
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            logger.error("a bug ended this session", exc_info=bug)
        session.end(BUG, TritoneError("Internal error."))
