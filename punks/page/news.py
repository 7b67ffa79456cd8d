"""What happens, told to every browser that listens."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

log = logging.getLogger(__name__)


class News:
    """Any thread tells; browsers listen in the server's loop."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[dict[str, Any] | None], asyncio.AbstractEventLoop] = {}
        self._ended = False

    def tell(self, event: str, **facts: Any) -> None:
        """Tells all listeners."""
        self._send({"event": event, **facts})

    def end(self) -> None:
        """Ends the listening for good; it would hold the server up when it stops."""
        self._ended = True
        self._send(None)

    async def listen(self, now: Callable[[], dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """How things are `now`, and what happens from then on."""
        mine: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._listeners[mine] = asyncio.get_running_loop()
        try:
            yield {"event": "queue", **now()}
            while not self._ended and (news := await mine.get()) is not None:
                yield news
        finally:
            del self._listeners[mine]

    def _send(self, news: dict[str, Any] | None) -> None:
        for listener, loop in list(self._listeners.items()):
            try:
                loop.call_soon_threadsafe(listener.put_nowait, news)
            except RuntimeError:  # its loop has ended
                log.debug("a browser has left")
