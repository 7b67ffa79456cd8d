"""What happens, told to every browser that listens."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

log = logging.getLogger(__name__)


class News:
    """Any thread tells; browsers listen in the server's loop."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[dict[str, Any] | None], asyncio.AbstractEventLoop] = {}

    def tell(self, event: str, **facts: Any) -> None:
        """Tells all listeners."""
        self._send({"event": event, **facts})

    def end(self) -> None:
        """Ends the listening, which would hold the server up when it stops."""
        self._send(None)

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        """What happens from now on."""
        mine: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._listeners[mine] = asyncio.get_running_loop()
        try:
            while (news := await mine.get()) is not None:
                yield news
        finally:
            del self._listeners[mine]

    def _send(self, news: dict[str, Any] | None) -> None:
        for listener, loop in list(self._listeners.items()):
            try:
                loop.call_soon_threadsafe(listener.put_nowait, news)
            except RuntimeError:  # its loop has ended
                log.debug("a browser has left")
