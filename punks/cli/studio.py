"""`punks studio`: a page in the browser to make punks on."""

import argparse
import contextlib
import socket
import threading
import webbrowser
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from punks.cli.options import output_path
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
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when it was stopped."""
    try:
        import uvicorn

        from punks.page.app import make_app
    except ModuleNotFoundError as error:
        raise PunkError(f"the page needs {error.name}; pip install 'punks[studio]'") from error
    from punks.page.studio import Studio
    from punks.report.show import show_folder

    with contextlib.closing(_listening(args.port)) as listening:
        port = listening.getsockname()[1]
        studio = Studio(args.folder)
        try:
            config = uvicorn.Config(make_app(studio, port), log_level="warning", timeout_graceful_shutdown=1)
            print(f"http://127.0.0.1:{port}/  (Ctrl-C stops it; punks lie in {args.folder})", flush=True)
            if not args.no_browser:
                threading.Timer(0.5, webbrowser.open, [f"http://127.0.0.1:{port}/"]).start()
            _server(config, studio).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            studio.close()
    if any((args.folder / "pixels").iterdir()):
        show_folder(args.folder)
    say("punks: stopped")
    return 0


def _server(config: "uvicorn.Config", studio: "Studio") -> "uvicorn.Server":
    """A server that first ends the news, which would hold it up."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            studio.end_news()
            super().handle_exit(sig, frame)

    return Server(config)


def _listening(port: int) -> socket.socket:
    """A socket on the loopback. Raises PunkError."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        found.close()
        raise PunkError(
            f"port {port}: cannot be used ({getattr(error, 'strerror', None) or error}); choose another"
        ) from error
    return found
