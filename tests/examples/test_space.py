"""The Space, imported and asked as Gradio's own client asks it."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from punks import Finish, Recipe, finish, open_punk, paint
from tests.support import ROOT

gradio = pytest.importorskip("gradio", reason="the Space has its own requirements")


def space() -> Any:
    spec = importlib.util.spec_from_file_location("space", ROOT / "examples" / "space" / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("default")
def test_the_space_makes_what_python_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = pytest.importorskip("gradio_client")
    monkeypatch.setenv("PUNKS_VARIANT", "tiny")
    page = space().page()
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    try:
        ask = client.Client(url, download_files=str(tmp_path), verbose=False)
        path, said = ask.predict("lady, red hair", 7, "orange", "keep", 16, api_name="/make")
        with pytest.raises(Exception, match="prompt"):
            ask.predict("", 7, "keep", "keep", 65, api_name="/make")
    finally:
        page.close()
    wanted = finish(
        paint(Recipe(prompt="lady, red hair", variant="tiny", seed=7)), Finish(background="orange", colors=16)
    )
    with Image.open(path) as found:
        assert (np.asarray(found.resize((24, 24), Image.Resampling.NEAREST)) == wanted.art.cells).all()
    assert open_punk(Path(path)).recipe == wanted.recipe
    assert said.startswith(f"{len(wanted.art.hexes)} colors.")
