"""Who may ask the studio, and what a request can reach."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.batch_folder import write_folder
from tests.support.studios import Served, studio


@pytest.fixture(scope="module")
def served(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("guarded") / "punks"
    write_folder(folder, 3, images=False)
    (folder.parent / "secret.png").write_bytes(b"secret")
    with studio(folder, tiny_weights) as one:
        yield one


def ask(served: Served, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """A request as it is written here: no client mends its path or its headers."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in named)
    for name, value in named.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def own(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


def post(served: Served, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    status, text = ask(served, "POST", path, json.dumps(body).encode(), **{"Origin": own(served)} | headers)
    return status, json.loads(text)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80"])
def test_another_host_is_refused(served: Served, host: str) -> None:
    """A page whose name resolves to the loopback (DNS rebinding) still sends its own name."""
    for path in ("/", "/api/options", "/api/punks", "/static/main.js"):
        assert ask(served, "GET", path, Host=host) == (403, b"unknown host")
    assert ask(served, "GET", "/", Host=f"localhost:{served.port}")[0] == 200


def test_a_post_needs_the_pages_own_origin(served: Served) -> None:
    body = b'{"values": {"choice": "keep"}}'
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}):
        assert ask(served, "POST", "/api/punks/1/pick", body, **origin) == (403, b"other origins are refused")
    https = own(served).replace("http:", "https:")
    assert ask(served, "POST", "/api/punks/1/pick", body, Origin=https)[0] == 403
    assert not (served.folder / "picks.json").exists()
    assert post(served, "/api/punks/1/pick", {"values": {"choice": "keep"}})[0] == 200


def test_another_origin_reads_nothing(served: Served) -> None:
    for path in ("/api/punks", "/api/punks/1/pixels.png", "/api/news"):
        assert ask(served, "GET", path, Origin="http://evil.example")[0] == 403
        for site in ("cross-site", "same-site"):
            assert ask(served, "GET", path, Sec_Fetch_Site=site) == (403, b"other sites are refused")
    assert ask(served, "GET", "/api/punks", Sec_Fetch_Site="same-origin")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/pyproject.toml",
        "/api/punks/../../secret.png",
        "/api/punks/1/..%2f..%2f..%2fsecret.png",
        "/api/punks/1/take/punk...%2f..%2fsecret.png",
        "/api/inputs/..%2f..%2fsecret.png",
        "/api/inputs/%2fetc%2fpasswd",
        "/api/punks/-1/pixels.png",
        "/api/punks/99999999999999999999/pixels.png",
        "/api/punks/1/image.svg",
        "/api/punks/1/..png",
    ],
)
def test_no_path_reaches_the_disk(served: Served, path: str) -> None:
    status, text = ask(served, "GET", path)
    assert status in (400, 404)
    assert b"secret" not in text.replace(b"secret.png", b"")
    assert str(served.folder).encode() not in text


def test_uploads_are_bounded_and_read_as_any_picture(served: Served) -> None:
    def upload(name: str, content: bytes) -> tuple[int, dict[str, Any]]:
        status, text = ask(served, "POST", f"/api/upload?name={name}", content, Origin=own(served))
        return status, json.loads(text)

    assert upload("x.png", bytes(20_000_001)) == (400, {"error": "it is larger than 20,000 kB", "field": None})
    for name in ("x", "", "..", "x.p%00g", "x.abcdefgh", "a/b"):
        assert "no suffix" in upload(name, b"x")[1]["error"]
    status, found = upload("..%2f..%2fx.png", b"no picture")
    assert status == 400
    assert str(served.folder) not in found["error"]
    assert not list(served.folder.rglob(".upload-*"))
    assert not (served.folder / "inputs").exists() or not list((served.folder / "inputs").iterdir())
    assert len(list(served.folder.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/api/paint", [], "JSON object"),
        ("/api/paint", {"values": []}, "values"),
        ("/api/paint", {"values": {"promt": "lady"}}, "promt"),
        ("/api/paint", {"values": {"prompt": "lady"}, "count": 17}, "count"),
        ("/api/paint", {"values": {"prompt": "lady"}, "count": True}, "count"),
        ("/api/paint", {"values": {"prompt": "lady", "seed": "x"}}, "seed"),
        ("/api/paint", {"values": {"prompt": "lady", "image_sha256": "../../secret"}}, "image_sha256"),
        ("/api/paint", {"values": {"prompt": "lady", "image_sha256": "0" * 64}}, "image_sha256"),
        ("/api/paint", {"values": {}, "of": "1"}, "number"),
        ("/api/paint", {"values": {}, "of": 77}, "there is no punk 77"),
        ("/api/punks/1/finish", {"values": {"background": "no such color"}}, "background"),
        ("/api/punks/1/finish", {"values": {"seed": 7, "output_size": 100_000}}, "output_size"),
        ("/api/punks/77/finish", {"values": {}}, "there is no punk 77"),
        ("/api/punks/1/pick", {"values": {"choice": "maybe"}}, "choice"),
        ("/api/punks/1/pick", {"values": {"rating": 11}}, "rating"),
        ("/api/punks/1/pick", {"values": {"rate": 1}}, "rate"),
    ],
)
def test_bad_requests_are_refused_in_words(served: Served, path: str, body: Any, word: str) -> None:
    status, found = post(served, path, body)
    assert status == 400
    assert word in found["error"]


def test_requests_are_bounded(served: Served) -> None:
    status, found = post(served, "/api/prompt", {"values": {"prompt": "x" * 200_000}})
    assert (status, found["error"]) == (400, "it is larger than 100 kB")
    assert ask(served, "POST", "/api/paint", b"[" * 90_000, Origin=own(served))[0] == 400
    for size in ("0", "23", "4097", "999999999"):
        status, text = ask(served, "GET", f"/api/punks/1/take/punk.png?size={size}")
        assert (status, json.loads(text)["field"]) == (400, "output_size")


def test_every_answer_carries_the_policy(served: Served) -> None:
    for path in ("/", "/static/main.js", "/api/options", "/api/punks/1/pixels.png", "/nothing"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        connection.request("GET", path)
        headers = connection.getresponse().headers
        assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        connection.close()
