"""`punks serve`: Cog's own HTTP server on this machine, without Docker."""

import argparse
import json
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from punks.variants import DEFAULT, VARIANTS


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Runs Cog's own HTTP server on this machine until Ctrl-C, without Docker."
    parser.add_argument("--port", type=int, default=0, metavar="N", help="by default one that is free")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    parser.add_argument("--variant", default=DEFAULT, choices=VARIANTS, help="is loaded first, and paints by default")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when it was stopped, 1 when it could not start or ended by itself."""
    from punks.service.server import free_port, server, wait  # brings an HTTP client along

    url = f"http://{args.host}:{(port := free_port(args.host, args.port))}"
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="punks-serve-") as folder:
        try:
            with server(Path(folder), port, host=args.host, variant=args.variant) as process:
                state = wait(process, url)
                if state.get("status") != "READY":
                    reason = state.get("setup", {}).get("logs", "").strip().splitlines()
                    print(f"setup failed: {reason[-1] if reason else 'the server ended'}", file=sys.stderr)
                    return 1
                body = json.dumps({"input": {"prompt": "lady, red hair, green eyes"}})
                call = ["curl", "-s", f"{url}/predictions", "-H", "Content-Type: application/json", "-d", body]
                print(f"{args.variant} is served at {url} (Ctrl-C stops it); try:\n{shlex.join(call)}", flush=True)
                process.wait()
                return 1
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
