"""`punks serve`: Cog's own HTTP server on this machine, without Docker."""

import argparse
import json
import shlex
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from punks.cli.terminal import say
from punks.errors import PunkError
from punks.variants import DEFAULT, VARIANTS


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Runs Cog's HTTP server on this machine, without Docker, until Ctrl-C."
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port to listen on; by default a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--variant", default=DEFAULT, choices=VARIANTS, help="variant to load and use by default")
    parser.add_argument(
        "--cors",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin use the server, such as http://localhost:3000; may be repeated",
    )
    parser.add_argument("--webhooks", action="store_true", help="let requests name a webhook")
    parser.add_argument("--verbose", action="store_true", help="show everything that Cog logs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when it was stopped. Raises PunkError if it could not start or cannot go on."""
    try:
        import cog  # noqa: F401  # pyright: ignore[reportUnusedImport, reportMissingTypeStubs]

        from punks.service.run import serve
        from punks.service.server import listener
    except ModuleNotFoundError as error:
        raise PunkError(f"the server needs {error.name}; pip install 'punks[serve]'") from error

    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup keeps it running
        signal.signal(signal.SIGHUP, _terminate)
    with listener(args.host, args.port) as listening, tempfile.TemporaryDirectory(prefix="punks-serve-") as folder:
        host = f"[{args.host}]" if ":" in args.host else args.host
        url = f"http://{host}:{listening.getsockname()[1]}"
        _say(f"loading {args.variant} ...")

        def ready() -> None:
            body = json.dumps({"input": {"prompt": "lady, red hair, green eyes"}})
            call = ["curl", "-s", f"{url}/predictions", "-H", "Content-Type: application/json", "-d", body]
            print(f"{args.variant} is served at {url} (Ctrl-C stops it); try:\n{shlex.join(call)}", flush=True)

        options = {"origins": args.cors, "webhooks": args.webhooks, "verbose": args.verbose}
        try:
            serve(Path(folder), listening, args.variant, host=args.host, **options, ready=ready, say=_say)
        except KeyboardInterrupt:
            _say("stopped")
    return 0


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if text == "*" or (
        parts.scheme in ("http", "https") and parts.netloc and text == f"{parts.scheme}://{parts.netloc}"
    ):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not an origin; use for example http://localhost:3000, or '*'")


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be closed
        say(line)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _terminate(_number: int, _frame: object) -> None:
    signal.raise_signal(signal.SIGTERM)
