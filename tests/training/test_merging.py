"""The merging model's training: what numpy restores with is what torch learned."""

from pathlib import Path

import numpy as np
import pytest
import torch

from punks.snap import model
from punks.snap.groups import candidates, start
from training.merging.net import Model
from training.merging.states import page, see
from training.merging.train import loss, save


@pytest.fixture
def learner() -> Model:
    torch.manual_seed(0)
    return Model()


def pages(weights: model.Weights | None, pictures: range) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in page(7, pictures, weights).items()}


def test_numpy_reads_what_torch_exports(learner: Model, tmp_path: Path) -> None:
    given = pages(None, range(4))
    learner.fit("cells", given["maps"].float().flatten(0, 1))
    learner.fit("picture", given["picture"])
    learner.fit("pairs", given["told"].float())
    save(tmp_path / "model.npz", learner.export())
    stored = model.read(tmp_path / "model.npz")
    learner.load(stored)  # rounded as the file is, with the normalization unfolded again
    seen = see(7, 0)
    embedding, logits, context = model.look(seen.maps.astype(np.float32), seen.picture, stored)
    groups = start(seen.means, seen.owner, None, seen.spread, embedding)
    one, two, told = candidates(groups)
    means = (groups.sums[:, -model.SEEN :] / groups.count[:, None]).astype(np.float32)
    found = model.weigh(told, means[one], means[two], context, stored)
    with torch.no_grad():
        _, expected_logits, seen_by_torch = learner.look(
            torch.from_numpy(seen.maps.astype(np.float32))[None], torch.from_numpy(seen.picture)[None]
        )
        rows = [torch.from_numpy(rows) for rows in (told, means[one], means[two])]
        expected = learner.weigh(*rows, seen_by_torch, torch.zeros(len(one), dtype=torch.long))
    assert logits == pytest.approx(expected_logits[0].numpy(), abs=2e-2)
    assert found == pytest.approx(expected.numpy(), abs=2e-2)


def test_it_learns_from_its_own_mergers(learner: Model) -> None:
    given = pages(model.weights(), range(6))
    learner.fit("cells", given["maps"].float().flatten(0, 1))
    learner.fit("picture", given["picture"])
    learner.fit("pairs", given["told"].float())
    optimizer = torch.optim.AdamW(learner.parameters(), 2e-3)
    losses: list[float] = []
    for _ in range(25):
        found = loss(learner, given)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        losses.append(found.item())
    assert losses[-1] < 0.8 * losses[0]
