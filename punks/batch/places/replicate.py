"""Replicate's HTTP API: https://replicate.com/docs/reference/http"""

import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import httpx2

from punks.batch.jobs import Job
from punks.batch.places.cog import inputs, json_of, key, outcome, plain
from punks.batch.places.servers import JobError, LaterError, Servers, checked
from punks.batch.places.worker import Outcome
from punks.errors import BatchError, RecipeError

LEDGER = "predictions.jsonl"
POLL = 0.5, 5.0  # seconds between two looks at a prediction, at first and at most
AT_ONCE = 8
_LOST = ("failed", "canceled", "aborted", "lost")


def at_model(model: str, folder: Path, *, workers: int | None = None, paintings: bool = False) -> Servers:
    """A model on Replicate, `OWNER/MODEL` or `OWNER/MODEL:VERSION`, with several predictions at once.

    What was paid for is written down in the folder, and fetched by a later run. Raises BatchError, RecipeError.
    """
    named = re.fullmatch(r"([\w.-]+/[\w.-]+)(?::([0-9a-f]{64}))?", model)
    if named is None:
        raise RecipeError("on", f"replicate:{model}", "use replicate:OWNER/MODEL, or replicate:OWNER/MODEL:VERSION")
    token = os.environ.get("REPLICATE_API_TOKEN", "")
    if not re.fullmatch(r"[!-~]+", token):
        raise BatchError("set REPLICATE_API_TOKEN to a token from https://replicate.com/account/api-tokens")
    url = os.environ.get("REPLICATE_API_BASE_URL", "https://api.replicate.com")
    ledger = Ledger(folder / LEDGER)

    def client() -> httpx2.Client:
        return httpx2.Client(base_url=url, timeout=60, headers={"Authorization": f"Bearer {token}"})

    with client() as http:
        version = named[2] or _latest(http, named[1])
    servers = [Replicate(client(), version, ledger, paintings=paintings) for _ in range(workers or AT_ONCE)]
    return Servers(servers, paintings=paintings)


class Ledger:
    """The predictions that were begun, by what was asked; kept in a file that is only ever added to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}
        lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            if line.endswith(b"}"):  # a killed run may have left a part of one
                self._ids.update(json.loads(line))

    def __getitem__(self, what: str) -> str | None:
        return self._ids.get(what)

    def __setitem__(self, what: str, prediction: str) -> None:
        self._ids[what] = prediction
        with self._lock, self._path.open("ab") as file:
            file.write(b"\n" + json.dumps({what: prediction}).encode())
            file.flush()
            os.fsync(file.fileno())


class Replicate:
    """A model on Replicate that runs this program's predict.py."""

    name = "Replicate"

    def __init__(self, http: httpx2.Client, version: str, ledger: Ledger, *, paintings: bool) -> None:
        self._http, self._version, self._ledger, self._paintings = http, version, ledger, paintings
        self._files = httpx2.Client(timeout=60, follow_redirects=True)  # on other hosts, which get no token

    def close(self) -> None:
        self._http.close()
        self._files.close()

    def paint(self, job: Job) -> Outcome:
        """Goes on with the prediction that was begun for this recipe, or begins one."""
        what = key(job)
        known = self._ledger[what]
        prediction = self._look(known) if known else None
        if prediction is None or prediction["status"] in _LOST:
            body = {"version": self._version, "input": inputs(job, paintings=self._paintings)}
            prediction = json_of(checked(self._http, "POST", "/v1/predictions", json=body))
            self._ledger[what] = prediction["id"]
        wait, most = POLL
        while prediction["status"] in ("starting", "processing"):
            time.sleep(wait)
            wait = min(most, 1.5 * wait)
            prediction = self._look(prediction["id"]) or {"status": "lost"}
        if prediction["status"] != "succeeded":
            error = str(prediction.get("error") or prediction["status"])
            if prediction["status"] == "failed" and "retry" not in error.lower():
                raise JobError(plain(error))
            raise LaterError(error, blame=True)

        def file(url: str) -> bytes:
            try:
                return checked(self._files, "GET", url).content
            except BatchError as error:  # files are kept for an hour, the prediction for longer
                self._ledger[what] = ""
                raise LaterError("its picture is no longer kept", blame=True) from error

        return outcome(job, prediction, file)

    def _look(self, prediction: str) -> dict[str, Any] | None:
        try:
            return json_of(checked(self._http, "GET", f"/v1/predictions/{prediction}"))
        except BatchError:  # forgotten, or another account's
            return None


def _latest(http: httpx2.Client, model: str) -> str:
    try:
        return json_of(checked(http, "GET", f"/v1/models/{model}"))["latest_version"]["id"]
    except (LaterError, JobError, KeyError, TypeError) as error:
        raise BatchError(f"replicate:{model}: there is no version of it that could be asked ({error})") from error
