"""One file from a server with faults: resumed where its parts are proven to be of one file, bounded, checked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from punks.errors import WeightsError
from punks.files.transfer import Item, bring
from tests.support.servers import Fault, Site, serving, tensors

LATER = Fault(status=503, headers={"Retry-After": "3600"})
ONE, OTHER = tensors(1), tensors(2)  # equal in length and header
LONGER = tensors(3, 310_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        site.files["/a"] = ONE
        yield site


@pytest.fixture
def item(site: Site, tmp_path: Path) -> Item:
    return Item(target=tmp_path / "a.safetensors", shown="a", origin=httpx2.URL(f"{site.url}/a"))


def get(item: Item) -> list[str]:
    said: list[str] = []
    bring(item.target.parent, item, said.append)
    return said


def start(site: Site, item: Item, fault: Fault | None = None) -> None:
    """A first call that ends with 100,000 bytes."""
    site.faults["/a"] = [fault or Fault(cut=100_000), LATER]
    with pytest.raises(WeightsError, match=r"HTTP 503.*goes on where it stopped"):
        get(item)
    assert item.part.stat().st_size == 100_000


@pytest.mark.parametrize("ignore_range", [False, True])
def test_a_dropped_connection_goes_on(site: Site, item: Item, ignore_range: bool) -> None:
    site.faults["/a"] = [Fault(cut=100_000), Fault(cut=200_000, ignore_range=ignore_range)]
    get(item)
    assert item.target.read_bytes() == ONE
    assert site.ranges("/a") == [None, "bytes=100000-", "bytes=200000-"]


def test_a_file_that_changed_between_calls_starts_over(site: Site, item: Item) -> None:
    start(site, item)
    site.files["/a"] = OTHER
    get(item)
    assert site.ranges("/a")[-1] == "bytes=100000-"
    assert item.target.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Fault(ignore_if_range=True), OTHER),
        (Fault(ignore_if_range=True, headers={"ETag": ""}), OTHER),
        (Fault(ignore_if_range=True, headers={"ETag": 'W/"fixed"'}), OTHER),
        (Fault(ignore_if_range=True, headers={"ETag": '"fixed"'}), LONGER),
        (Fault(ignore_if_range=True, headers={"ETag": '"fixed"', "Content-Range": "bytes 100000-1/*"}), ONE),
        (Fault(ignore_if_range=True, headers={"ETag": '"fixed"', "Content-Range": f"bytes 5-1/{len(ONE)}"}), ONE),
    ],
    ids=["other ETag", "no ETag", "weak ETag", "other length", "no length", "other range"],
)
def test_a_part_of_another_file_is_never_joined(site: Site, item: Item, fault: Fault, body: bytes) -> None:
    start(site, item, Fault(cut=100_000, headers={"ETag": '"fixed"'}))
    site.files["/a"], site.faults["/a"] = body, [fault]
    said = get(item)
    assert "a: the server's answer does not continue the partial file; trying again" in said
    assert site.ranges("/a")[-2:] == ["bytes=100000-", None]
    assert item.target.read_bytes() == body


def test_a_resumed_file_with_another_checksum_is_fetched_anew(site: Site, item: Item) -> None:
    item = Item(target=item.target, shown="a", origin=item.origin, digest=hashlib.sha256(ONE).hexdigest())
    start(site, item)
    item.part.write_bytes(OTHER[:100_000])  # as a disk may after a power cut
    assert "a: checksum mismatch after resuming; trying again" in get(item)
    assert item.target.read_bytes() == ONE
    item.target.unlink()
    start(site, item)
    site.files["/a"] = OTHER
    with pytest.raises(WeightsError, match="a: checksum mismatch"):
        get(item)
    assert site.ranges("/a")[-2:] == ["bytes=100000-", None]
    assert not list(item.target.parent.glob("a.*"))


def test_without_a_validator_nothing_is_glued(site: Site, item: Item) -> None:
    site.faults["/a"] = [Fault(cut=100_000, headers={"ETag": 'W/"1"'})]
    get(item)
    assert site.ranges("/a") == [None, None]
    assert item.target.read_bytes() == ONE


def test_a_complete_partial_file_needs_no_byte(site: Site, item: Item) -> None:
    start(site, item)
    item.part.write_bytes(ONE)
    asked = len(site.asked)
    get(item)
    assert len(site.asked) == asked
    assert item.target.read_bytes() == ONE


def test_a_busy_server_is_asked_again_but_not_for_long(site: Site, item: Item) -> None:
    site.faults["/a"] = [Fault(status=429, headers={"Retry-After": after}) for after in ("1", "\xb2", "9" * 5000)][:2]
    said = get(item)
    assert said[:2] == ["a: the server is busy (HTTP 429); trying again"] * 2
    item.target.unlink()
    site.faults["/a"] = [LATER]
    with pytest.raises(WeightsError, match="in 3600 s run the same command again"):
        get(item)
    site.faults["/a"] = [Fault(status=500) for _ in range(9)]
    with pytest.raises(WeightsError, match="busy"):
        get(item)
    assert len(site.faults["/a"]) == 5


@pytest.mark.parametrize("body", [ONE, b"<html>", bytes(64), b"\xff\xff\xff\xff\xff\xff\xff\xff{"])
def test_what_goes_on_after_its_end_is_cut_off(site: Site, item: Item, body: bytes) -> None:
    site.files["/a"], site.faults["/a"] = body, [Fault(more=100_000_000)]
    with pytest.raises(WeightsError) as caught:
        get(item)
    assert site.sent < 30_000_000  # what the sockets hold
    assert str(caught.value).startswith(("a: not a whole safetensors file", "a: an HTML page"))
    assert not list(item.target.parent.iterdir())


def test_a_listed_file_longer_than_its_listed_size_is_cut_off(site: Site, item: Item) -> None:
    digest = hashlib.sha256(ONE).hexdigest()
    item = Item(target=item.target.with_name("b.json"), shown="b", origin=item.origin, size=len(ONE), digest=digest)
    site.faults["/a"] = [Fault(more=100_000_000)]
    with pytest.raises(WeightsError) as caught:
        get(item)
    assert site.sent < 30_000_000
    assert str(caught.value) == "b: checksum mismatch"


@pytest.mark.parametrize(
    ("to", "what", "asked"),
    [
        ("/a", "a: redirect loop", 21),
        ("file:///etc/passwd", "a: redirect to file://, which is not followed", 1),
        ("ftp://user:secret@host/a", "a: redirect to ftp://, which is not followed", 1),
    ],
)
def test_a_redirect_that_leads_nowhere_is_named(site: Site, item: Item, to: str, what: str, asked: int) -> None:
    site.redirects["/a"] = to
    with pytest.raises(WeightsError) as caught:
        get(item)
    assert str(caught.value) == what
    assert len(site.asked) == asked


def test_a_disk_too_small_is_said_before_a_byte_comes(site: Site, item: Item) -> None:
    site.faults["/a"] = [Fault(status=200, headers={"Content-Length": "9" * 16})]
    with pytest.raises(WeightsError, match=r"needs 10\.0PB more, .* is free"):
        get(item)
