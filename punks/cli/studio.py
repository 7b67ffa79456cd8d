"""`punks studio`: a page in the browser to make punks on."""

import argparse
import contextlib
import os
import signal
import socket
import threading
import webbrowser
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from punks.cli.options import add_store, output_path, stored
from punks.cli.terminal import say
from punks.errors import PunkError

if TYPE_CHECKING:
    import uvicorn

    from punks.page.studio import Studio


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Make punks on a page in the browser. Everything it makes lies in a folder, as a batch does."
    parser.add_argument(
        "folder",
        nargs="?",
        type=output_path,
        default=Path("punks-studio"),
        metavar="DIR",
        help="folder for the punks, also one of a batch (punks-studio)",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port; by default a free one")
    add_store(parser)
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when it was stopped."""
    try:
        for needed in ("starlette", "uvicorn"):
            import_module(needed)
    except ModuleNotFoundError as error:
        raise PunkError(f"the page needs {error.name}; pip install 'punks[studio]'") from error
    from punks.page.studio import Studio
    from punks.report.show import show_folder

    with contextlib.closing(_listening(args.port)) as listening, stored(args, args.folder):
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        studio = Studio(args.folder)
        server = _server(studio, listening.getsockname()[1])
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last of a closed terminal; Windows has none
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), server.handle_exit)
        try:
            print(f"{url}  (Ctrl-C stops it; the punks lie in {args.folder})", flush=True)
            if not args.no_browser:
                opening = threading.Timer(0.5, webbrowser.open, [url])
                opening.daemon = True
                opening.start()
            server.run(sockets=[listening])
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C ends what is left
            stopped = studio.close()
    with contextlib.suppress(OSError):  # the terminal may be gone
        if studio.changed:
            say(show_folder(args.folder))
        say("punks: stopped")
    if not stopped:
        os._exit(0)  # a step of a large model would hold the end up
    return 0


def _server(studio: "Studio", port: int) -> "uvicorn.Server":
    """A server that a signal stops at once, and only that: what browsers listen to ends first."""
    import uvicorn

    from punks.page.app import make_app

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
            studio.news.end()
            self.should_exit = True

    return Server(uvicorn.Config(make_app(studio, port), log_level="warning", timeout_graceful_shutdown=1))


def _listening(port: int) -> socket.socket:
    """A socket on the loopback. Raises PunkError."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen()  # the address that is printed answers from now on
    except (OSError, OverflowError) as error:
        found.close()
        raise PunkError(
            f"port {port}: cannot be used ({getattr(error, 'strerror', None) or error}); choose another"
        ) from error
    return found
