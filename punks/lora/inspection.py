"""One LoRA file inspected: what it is, how it was trained, how strong it is, and whether it can be served.

Nothing is executed or guessed: what the file does not say is unknown. Imports no torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from punks.errors import LoraError
from punks.files import weights
from punks.lora.file import UP, LoraFile, check, read_header
from punks.lora.modules import module_shapes
from punks.lora.parameters import Difference, differences, parameters, shown, unknown, value
from punks.lora.strengths import BUDGET, Block, Tensors, blocks
from punks.lora.training_runs import RUNS, Value
from punks.variants import VARIANTS, Variant

Verdict = Literal["serves", "serves with warnings", "refused"]

_BASES = {"SD 1.5": "sd15", "SDXL": "sdxl"}


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What there is to say of a file. `hash_state`: of sshs_model_hash, the SHA-256 of the tensors' bytes."""

    file: LoraFile
    size: int
    parameters: dict[str, Value]
    blocks: list[Block]
    hash_state: Literal["verified", "does not match", "not verified", "unknown"]
    base: str | None
    refusal: str | None
    warnings: list[str]
    against: str | None = None
    differences: list[Difference] = field(default_factory=list[Difference])
    unknown: list[str] = field(default_factory=list[str])

    @property
    def verdict(self) -> Verdict:
        """Whether the service takes the file."""
        return "refused" if self.refusal else "serves with warnings" if self.warnings else "serves"


@dataclass(frozen=True, kw_only=True, slots=True)
class Other:
    """What a file is compared with: a name, its parameters, and its row if it is a variant."""

    name: str
    parameters: Mapping[str, Value]
    row: Variant | None = None


def other_file(file: LoraFile) -> Other:
    """The training of another file."""
    return Other(name=file.path.name, parameters=parameters(file, list(Tensors(file).alphas().values())))


def other_variant(row: Variant) -> Other:
    """The recorded training of a variant; of one without a record, what its own file says, if it is here."""
    path = weights.lora_path(row, row.epoch)
    if row.name in RUNS:
        return Other(name=row.name, parameters=RUNS[row.name].parameters, row=row)
    return Other(name=row.name, parameters=other_file(read_header(path)).parameters if path.is_file() else {}, row=row)


def inspect(file: LoraFile, against: Other | None = None, *, whole: bool = False) -> Inspection:
    """Reads what the header and the tensors say; `whole` reads every tensor of a file above BUDGET too."""
    tensors = Tensors(file)
    alphas = tensors.alphas()
    measured = blocks(tensors, alphas, whole=whole)
    known = parameters(file, list(alphas.values()))
    size = file.path.stat().st_size
    claim = file.claim()
    if against is None and claim:
        against = other_variant(claim[0])
    row = against.row if against else None
    if claim and claim[0] != row:
        claim = None  # its name says nothing of the variant that it is compared with
    base, refusal = _base(file, row)
    if not refusal and not all(map(math.isfinite, [*alphas.values(), *(each.mean for each in measured)])):
        refusal = "it holds values that are not finite; the training diverged, or the file is damaged"
    claimed_hash = file.metadata.get("sshs_model_hash")
    state = "unknown" if not claimed_hash else "not verified"
    if claimed_hash and (whole or size <= BUDGET):
        state = "verified" if tensors.digest() == claimed_hash.removeprefix("0x") else "does not match"
    found = differences(known, against.parameters) if against else []
    warnings = [
        *_contradictions(file, known, state),
        *_without_alpha(file, len(file.factors) - len(alphas)),
        *_strange(measured),
        *(_of_variant(row, known, claim) if row else []),
    ]
    if against and found:
        telling = ", ".join(each.name for each in found[:4]) + (", ..." if len(found) > 4 else "")
        plural = "parameter differs" if len(found) == 1 else "parameters differ"
        warnings.append(f"{len(found)} {plural} from {against.name}: {telling}")
    return Inspection(
        file=file,
        size=size,
        parameters=known,
        blocks=measured,
        hash_state=state,
        base=base,
        refusal=refusal,
        warnings=warnings,
        against=against.name if against else None,
        differences=found,
        unknown=unknown(known, against.parameters) if against else [],
    )


def _base(file: LoraFile, row: Variant | None) -> tuple[str | None, str | None]:
    """The base that takes the file, or why none does: the checks that guard loading."""
    rows = [row] if row else list({each.base.name: each for each in reversed(VARIANTS.values())}.values())[::-1]
    reasons: dict[str, str] = {}
    fits: dict[str, int] = {}
    for each in rows:
        shapes = module_shapes(each)
        if shapes is None:
            if row:
                reasons[each.base.name] = f"the base {each.base.name} is not here, so no module can be checked"
            continue
        try:
            check(file, shapes)
        except LoraError as error:
            reasons[each.base.name] = str(error).removeprefix(f"{file.path}: ")
            fits[each.base.name] = _fits(file, shapes)
        else:
            return each.base.name, None
    named = _BASES.get(file.family or "")
    return None, reasons[max(reasons, key=lambda name: (fits.get(name, 0), name == named))]


def _fits(file: LoraFile, base: Mapping[str, tuple[int, ...]]) -> int:
    """How many of its factors have the side of the base's module that they are for."""
    sides = ((key, shape, base.get(key.partition(".")[0])) for key, shape in file.shapes.items())
    return sum(
        weight is not None and (shape[:1] == weight[:1] if key.endswith(UP) else shape[1:] == weight[1:])
        for key, shape, weight in sides
    )


def _contradictions(file: LoraFile, known: Mapping[str, Value], state: str) -> list[str]:
    """Where the header and the tensors disagree."""
    found: list[str] = []
    for name in ("network_dim", "network_alpha"):
        said, real = file.metadata.get(f"ss_{name}"), known.get(name)
        if said in (None, "None") or real is None or isinstance(real, str):
            continue
        try:
            agrees = math.isclose(float(said), float(real), rel_tol=1e-3)
        except ValueError:
            agrees = False
        if not agrees:
            found.append(f"the header says {name} {said}, the tensors have {shown(known, name)}: the tensors count")
    if state == "does not match":
        found.append("sshs_model_hash does not match the tensors: they were changed after training, or damaged")
    return found


def _without_alpha(file: LoraFile, lacking: int) -> list[str]:
    """What modules without alpha do, whatever alpha the header says."""
    if not lacking:
        return []
    if lacking < len(file.factors):
        return [f"{lacking} of {len(file.factors)} modules have no alpha: the rank stands for it"]
    said = value("network_alpha", file.metadata.get("ss_network_alpha", "None"))
    if isinstance(said, int | float) and said > 0 and len(file.ranks) == 1:
        acts = f"the rank stands for it, so it acts at {file.ranks[0] / said:.3g} times the strength"
        return [f"the header says alpha {said}, the tensors have none: {acts}"]
    return ["alpha is unknown; without it the rank stands for it, so alpha / rank is 1"]


def _strange(measured: list[Block]) -> list[str]:
    if measured and all(each.most == 0 for each in measured):
        return ["every module has strength 0: it changes nothing"]
    return []


def _of_variant(row: Variant, known: Mapping[str, Value], claim: tuple[Variant, int] | None) -> list[str]:
    """What is known against the file as an epoch of that variant."""
    found: list[str] = []
    if row.failed:
        found.append(f"{row.name} is a failed run: {row.verdict}")
    own = claim is not None or known.get("output_name") == row.lora
    epoch = known.get("epoch", claim[1] if claim else None)
    if claim and "epoch" in known and known["epoch"] != claim[1]:
        found.append(f"its name says epoch {claim[1]} of {claim[0].name}, its header epoch {shown(known, 'epoch')}")
    elif own and not row.failed and epoch is not None and epoch != row.epoch:
        found.append(f"epoch {epoch}, where {row.name} is served at epoch {row.epoch}: {row.verdict}")
    if claim and known.get("output_name", row.lora) != row.lora:
        found.append(f"its name says {row.lora}, its header {shown(known, 'output_name')}")
    return found
