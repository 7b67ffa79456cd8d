"""Where weights are looked for, from a checkout; tests/test_wheel.py asks an installed wheel."""

from pathlib import Path

import pytest

from punks.errors import WeightsError
from punks.files import weights
from punks.variants import VARIANTS
from tests.support import ROOT

PERFECT, DEMO = VARIANTS["sd15-perfect"], VARIANTS["demo"]


def test_the_checkout_unless_a_variable_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUNKS_WEIGHTS")
    assert weights.folder() == weights.folder(PERFECT) == ROOT / "weights"
    assert weights.PREDICT == ROOT / "predict.py"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PUNKS_WEIGHTS", "~/models")
    assert weights.base_folder(PERFECT) == tmp_path / "models/sd15"
    assert weights.base_folder(DEMO) == ROOT / "weights/demo"
    monkeypatch.setenv("PUNKS_WEIGHTS", "~no-such-user/models")
    with pytest.raises(WeightsError, match="PUNKS_WEIGHTS: there is no home folder for '~no-such-user/models'"):
        weights.folder()


def test_what_can_paint_here() -> None:
    assert weights.available(DEMO)
    assert weights.available(DEMO, 7)
    assert not weights.available(DEMO, 3)
    assert not weights.available(PERFECT)
    assert weights.available(VARIANTS["tiny"], 2)


def test_the_message_gives_the_command() -> None:
    with pytest.raises(
        WeightsError, match=r"and 1 more\); get it with `script/download-weights sd15-perfect --epoch 3`$"
    ):
        weights.require(PERFECT, 3)
    with pytest.raises(WeightsError, match="is missing; this epoch is not included; epochs here: 1, 4, 7, 10"):
        weights.require(DEMO, 3)
