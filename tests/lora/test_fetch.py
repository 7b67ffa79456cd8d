"""The LoRA from a URL or a path, against a server with faults."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from punks.errors import RecipeError, WeightsError
from punks.lora.fetch import fetch
from punks.variants import VARIANTS
from tests.support.servers import Fault, Site, lora, serving

PERFECT = VARIANTS["sd15-perfect"]
LORA = PERFECT.lora_file(7)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights, a space in its name, in which the base of SD1.5 is there and recorded."""
    home = tmp_path / "my weights"
    (home / "sd15").mkdir(parents=True)
    (home / "sd15/model_index.json").write_text("{}")
    (home / "SHA256SUMS").write_text(f"{hashlib.sha256(b'{}').hexdigest()}  sd15/model_index.json\n")
    monkeypatch.setenv("PUNKS_WEIGHTS", str(home))
    monkeypatch.delenv("PUNKS_LORA_URL", raising=False)
    return home


def get(source: str | Path | None, epoch: int | Literal["all"] | None = 7) -> list[str]:
    said: list[str] = []
    fetch([PERFECT], epoch, None if source is None else str(source), said.append)
    return said


def test_a_url_is_fetched_recorded_and_then_kept(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["/any name.bin"] = site.files["/any%20name.bin"] = lora(1)
    monkeypatch.setenv("PUNKS_LORA_URL", f"{site.url}/any%20name.bin?token=1")
    get(None)
    assert (home / "sd15/lora" / LORA).read_bytes() == lora(1)
    assert [path.name for path in (home / "sd15/lora").iterdir()] == [LORA]
    assert subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=home, check=False, capture_output=True).returncode == 0
    assert any("kept" in line for line in get(None))
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>sign in</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs pointer"),
        (b"PK\x03\x04" + bytes(500), "pickled checkpoint"),
        (b"\x80\x02}q\x00" + bytes(500), "pickled checkpoint"),
        (lora(1)[:-1], "not a whole safetensors file"),
        (lora(1) + b"x", "not a whole safetensors file"),
    ],
)
def test_what_is_not_safetensors_is_refused(site: Site, home: Path, body: bytes, what: str) -> None:
    site.files["/a"] = body
    for source in (f"{site.url}/a", home / "a file"):
        (home / "a file").write_bytes(body)
        with pytest.raises(WeightsError, match=what):
            get(source)
        assert not list((home / "sd15/lora").glob("*.part"))
        assert not list((home / "sd15/lora").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("status", "what"), [(401, "access denied.*login"), (403, "login"), (404, "no such file"), (204, "204")]
)
def test_a_refusal_says_what_it_is_and_no_secret(site: Site, home: Path, status: int, what: str) -> None:
    site.faults["/a"] = [Fault(status=status, headers={"Content-Length": "0"})]
    source = site.url.replace("//", "//name:secret@") + "/a?key=secret#secret"
    with pytest.raises(WeightsError, match=what) as caught:
        get(source)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert site.asked[0][1]["authorization"].startswith("Basic ")


def test_an_unreachable_server_shows_no_secret(home: Path) -> None:
    with serving() as site:
        url = f"{site.url}/a?key=secret"
    with pytest.raises(WeightsError, match="no connection") as caught:
        get(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (None, "(?s)no source given for the LoRA; pass --lora FILE\n.*https://.*/some/path.*hf:OWNER/REPO"),
        ("no/such/file", "(?s)no such file or folder\n.*https://"),
        ("s3://bucket/file", "must begin with http"),
        ("https://user:pa/ss@host/x", "must begin with http"),
        ("hf:only-a-name", "is not hf:OWNER/REPO"),
    ],
)
def test_a_mistyped_source_is_explained(home: Path, source: str | None, what: str) -> None:
    with pytest.raises(WeightsError, match=what):
        get(source)


def test_a_folder_gives_the_epochs_it_has(home: Path, tmp_path: Path) -> None:
    for epoch in (7, 10):
        (tmp_path / PERFECT.lora_file(epoch)).write_bytes(lora(epoch))
    get(tmp_path, "all")
    assert sorted(path.name for path in (home / "sd15/lora").iterdir()) == [LORA, PERFECT.lora_file(10)]
    with pytest.raises(WeightsError, match=r"has no .*000003.safetensors; it has .*000007"):
        get(tmp_path, 3)


def test_a_file_of_another_epoch_or_several_from_one_file_are_refused(home: Path, tmp_path: Path) -> None:
    last = tmp_path / PERFECT.lora_file(10)
    last.write_bytes(lora(1))
    with pytest.raises(WeightsError, match=r"is epoch 10 of sd15-perfect; .*-000007\.safetensors was asked for"):
        get(last)
    with pytest.raises(WeightsError, match="is a single file, but several"):
        get(last, "all")
    with pytest.raises(RecipeError, match="epochs 1 to 10"):
        get(last, 11)
    get(last, 10)
    assert (home / "sd15/lora" / last.name).read_bytes() == lora(1)


def test_another_file_under_the_same_name_replaces_the_old_one(home: Path, tmp_path: Path) -> None:
    file = tmp_path / LORA
    for seed in (1, 2):
        file.write_bytes(lora(seed))
        get(file)
        assert (home / "sd15/lora" / LORA).read_bytes() == lora(seed)


def test_a_damaged_file_is_fetched_again(site: Site, home: Path) -> None:
    site.files["/a"] = lora(1)
    get(f"{site.url}/a")
    (home / "sd15/lora" / LORA).write_bytes(lora(2))
    with pytest.raises(WeightsError, match="no source given"):
        get(None)
    assert any("checksum mismatch" in line for line in get(f"{site.url}/a"))
    assert (home / "sd15/lora" / LORA).read_bytes() == lora(1)


def test_a_file_put_there_by_hand_is_checked_and_recorded(home: Path) -> None:
    (home / "sd15/lora").mkdir()
    (home / "sd15/lora" / LORA).write_bytes(lora(1))
    get(None)
    assert f"{hashlib.sha256(lora(1)).hexdigest()}  sd15/lora/{LORA}" in (home / "SHA256SUMS").read_text()


def test_embedded_weights_are_not_fetched() -> None:
    with pytest.raises(WeightsError, match="comes with punks"):
        fetch([VARIANTS["demo"]], None, None, print)
