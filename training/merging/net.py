"""The model as torch modules, of the same shapes and names as `punks.snap.model` reads."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from punks.snap.evidence import CELL, PICTURE
from punks.snap.groups import PAIR
from punks.snap.model import DILATIONS, NEAR, SEEN, Weights

WIDTH, HIDDEN, DEEP = 32, 192, 64
CONTEXT = PICTURE + WIDTH


class Model(nn.Module):
    """Numbers are normalized by what the training set shows; `export` folds that into the first weights."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(CELL, WIDTH)
        self.cell_picture = nn.Linear(PICTURE, WIDTH, bias=False)
        self.convs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=d, dilation=d) for d in DILATIONS)
        self.out = nn.Linear(WIDTH, SEEN + 3)
        self.pair = nn.Linear(PAIR + 2 * SEEN, HIDDEN)
        self.pair_context = nn.Linear(CONTEXT, HIDDEN, bias=False)
        self.deep = nn.Linear(HIDDEN, DEEP)
        self.deep_usual = nn.Linear(HIDDEN, DEEP, bias=False)
        self.last = nn.Linear(DEEP, 1)
        for name, size in (("cells", CELL), ("picture", PICTURE), ("pairs", PAIR)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def fit(self, name: str, rows: Tensor) -> None:
        """Take mean and deviation from rows (N, size)."""
        getattr(self, f"{name}_mean").copy_(rows.mean(0))
        getattr(self, f"{name}_scale").copy_(1 / rows.std(0).clamp_min(0.05))

    def _normal(self, name: str, rows: Tensor) -> Tensor:
        return (rows - getattr(self, f"{name}_mean")) * getattr(self, f"{name}_scale")

    def look(self, cells: Tensor, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, CELL), (B, PICTURE) -> (B, N, SEEN), (B, N, 3), (B, CONTEXT)."""
        side = round(cells.shape[1] ** 0.5)
        picture = self._normal("picture", picture)
        x = self.cell(self._normal("cells", cells)) + self.cell_picture(picture)[:, None]
        x = x.relu().transpose(1, 2).unflatten(2, (side, side))
        for conv in self.convs:
            x = x + conv(x).relu()
        out = self.out(x.flatten(2).transpose(1, 2))
        return out[..., :SEEN], out[..., SEEN:], torch.cat([picture, x.mean((2, 3))], 1)

    def weigh(self, pairs: Tensor, one: Tensor, two: Tensor, context: Tensor, state: Tensor) -> Tensor:
        """(P, PAIR), (P, SEEN) twice, the states' contexts (S, CONTEXT), the pairs' states (P,) -> (P,)."""
        known = torch.cat([self._normal("pairs", pairs), (one - two).abs(), one + two], 1)
        x = (self.pair(known) + self.pair_context(context)[state]).relu()
        near = torch.cat([x, torch.ones_like(x[:, :1])], 1) * (pairs[:, 1:2] < NEAR)
        usual = torch.zeros(len(context), HIDDEN + 1, device=x.device).index_add_(0, state, near)
        usual = usual[:, :HIDDEN] / usual[:, HIDDEN:].clamp_min(1)
        return self.last(fn.relu(self.deep(x) + self.deep_usual(usual)[state]))[:, 0]

    @torch.no_grad()
    def load(self, w: Weights) -> None:
        """Go on from what `export` gave, with the normalization that was fitted since."""
        t = {name: torch.from_numpy(value).to(self.cell.weight.device) for name, value in w.items()}

        def unfold(name: str, layer: nn.Linear, weight: Tensor, size: int) -> Tensor:
            mean, scale = getattr(self, f"{name}_mean"), getattr(self, f"{name}_scale")
            shift = mean @ weight[:size]
            layer.weight.copy_(torch.cat([weight[:size] / scale[:, None], weight[size:]]).T)
            return shift

        shift = unfold("cells", self.cell, t["cell"], CELL) + unfold(
            "picture", self.cell_picture, t["cell_picture"], PICTURE
        )
        self.cell.bias.copy_(t["cell_bias"] + shift)
        shift = unfold("pairs", self.pair, t["pair"], PAIR) + unfold(
            "picture", self.pair_context, t["pair_context"], PICTURE
        )
        self.pair.bias.copy_(t["pair_bias"] + shift)
        for dilation, conv in zip(DILATIONS, self.convs, strict=True):
            conv.weight.copy_(t[f"conv{dilation}"].reshape(3, 3, WIDTH, WIDTH).permute(3, 2, 0, 1))
            conv.bias.copy_(t[f"conv{dilation}_bias"])
        self.out.weight.copy_(t["out"].T)
        self.out.bias.copy_(t["out_bias"])
        self.deep.weight.copy_(t["deep"].T)
        self.deep.bias.copy_(t["deep_bias"])
        self.deep_usual.weight.copy_(t["deep_usual"].T)
        self.last.weight.copy_(t["last"][None])
        self.last.bias.copy_(t["last_bias"])

    @torch.no_grad()
    def export(self) -> Weights:
        """Arrays for numpy, float16 rounded, normalization folded in."""
        w: dict[str, Tensor] = {}

        def fold(name: str, layer: nn.Linear, size: int) -> tuple[Tensor, Tensor]:
            mean, scale = getattr(self, f"{name}_mean"), getattr(self, f"{name}_scale")
            weight = layer.weight.T.clone()
            weight[:size] *= scale[:, None]
            return weight, -(mean @ weight[:size])

        w["cell"], shift = fold("cells", self.cell, CELL)
        w["cell_picture"], more = fold("picture", self.cell_picture, PICTURE)
        w["cell_bias"] = self.cell.bias + shift + more
        for dilation, conv in zip(DILATIONS, self.convs, strict=True):
            w[f"conv{dilation}"] = conv.weight.permute(2, 3, 1, 0).reshape(-1, WIDTH)
            w[f"conv{dilation}_bias"] = conv.bias
        w["out"], w["out_bias"] = self.out.weight.T, self.out.bias
        w["pair"], shift = fold("pairs", self.pair, PAIR)
        w["pair_context"], more = fold("picture", self.pair_context, PICTURE)
        w["pair_bias"] = self.pair.bias + shift + more
        w["deep"], w["deep_bias"] = self.deep.weight.T, self.deep.bias
        w["deep_usual"] = self.deep_usual.weight.T
        w["last"], w["last_bias"] = self.last.weight[0], self.last.bias[0]
        return {name: value.float().cpu().numpy().astype(np.float16).astype(np.float32) for name, value in w.items()}
