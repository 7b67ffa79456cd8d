"""One LoRA file inspected: what it is, how it was trained, how strong it is, and whether it can be served.

Nothing is executed or guessed: what the file does not say is unknown. Imports no torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from punks.files import weights
from punks.lora.file import NOT_FINITE, LoraFile, read_header
from punks.lora.modules import base_of
from punks.lora.parameters import Difference, differences, other_training, parameters, shown, unknown, value
from punks.lora.strengths import BUDGET, Block, blocks
from punks.lora.tensors import Tensors
from punks.lora.training_runs import RUNS, Value
from punks.variants import Variant

HashState = Literal["verified", "does not match", "not verified", "unknown"]
Verdict = Literal["serves", "serves with warnings", "refused"]

_RESIZED = ("dimension is resized from", "Dynamic resize with")


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What there is to say of a file. `hash`: of sshs_model_hash, the SHA-256 of the tensors' bytes."""

    file: LoraFile
    bytes: int
    refusal: str | None
    warnings: list[str]
    base: str | None
    hash: HashState
    parameters: dict[str, Value]
    blocks: list[Block]
    against: str | None
    differences: list[Difference]
    unknown: list[str]

    @property
    def verdict(self) -> Verdict:
        """Whether the service takes the file."""
        return "refused" if self.refusal else "serves with warnings" if self.warnings else "serves"


def inspect(file: LoraFile, against: LoraFile | Variant | None = None, *, whole: bool = False) -> Inspection:
    """Reads what the header and the tensors say, and compares it with another file or a variant.

    A file named as an epoch of a variant is compared with that one. `whole` reads every tensor of a file above BUDGET
    too. Raises LoraError where PEFT's configuration cannot be read.
    """
    tensors = Tensors(file)
    alphas = tensors.alphas()
    measured = blocks(tensors, alphas, whole=whole)
    known = parameters(file, list(alphas.values()))
    claim = file.claim()
    if against is None and claim:
        against = claim[0]
    row = against if isinstance(against, Variant) else None
    if claim and claim[0] != row:
        claim = None  # its name says nothing of the variant that it is compared with
    base, refusal = base_of(file, row)
    if not refusal and not all(map(math.isfinite, [*alphas.values(), *(each.mean for each in measured)])):
        refusal = NOT_FINITE
    hash_state = _hash_state(tensors, whole)
    warnings = [
        *_contradictions(file, known, measured, hash_state),
        *_without_alpha(file, len(file.factors) - len(alphas)),
        *(other_training(file) if claim else []),
        *(_of_variant(row, known, claim) if row else []),
    ]
    other = _training(against)
    name = against.name if isinstance(against, Variant) else against.path.name if against else None
    if found := differences(known, other):
        telling = ", ".join(each.name for each in found[:4]) + (", ..." if len(found) > 4 else "")
        plural = "parameter differs" if len(found) == 1 else "parameters differ"
        warnings.append(f"{len(found)} {plural} from {name}: {telling}")
    return Inspection(
        file=file,
        bytes=len(tensors.bytes),
        refusal=refusal,
        warnings=warnings,
        base=base,
        hash=hash_state,
        parameters=known,
        blocks=measured,
        against=name,
        differences=found,
        unknown=unknown(known, other),
    )


def _training(of: LoraFile | Variant | None) -> Mapping[str, Value]:
    """The parameters of a file; of a variant those recorded, else those of its own file, if it is here."""
    if isinstance(of, Variant):
        if recorded := RUNS.get(of.name):
            return recorded
        path = weights.lora_path(of, of.epoch)
        if not path.is_file():
            return {}
        of = read_header(path)
    return parameters(of, list(Tensors(of).alphas().values())) if of else {}


def _hash_state(tensors: Tensors, whole: bool) -> HashState:
    header = tensors.file.metadata
    claimed = header.get("sshs_model_hash")
    if not claimed:
        return "unknown"
    if len(tensors.bytes) > BUDGET and not whole:
        return "not verified"
    if tensors.digest() == claimed.removeprefix("0x"):
        return "verified"
    # LyCORIS hashes in another order (and writes 0x); kohya's scripts that merge and resize hash before they round
    resized = header.get("ss_training_comment", "").startswith(_RESIZED)
    as_trained = "ss_output_name" in header and not resized and not claimed.startswith("0x")
    return "does not match" if as_trained else "not verified"


def _contradictions(
    file: LoraFile, known: Mapping[str, Value], measured: list[Block], hash_state: HashState
) -> list[str]:
    """Where the header and the tensors disagree, and tensors that change nothing."""
    found: list[str] = []
    for name in ("network_dim", "network_alpha"):
        said, real = value(name, file.metadata.get(f"ss_{name}", "None")), known.get(name)
        if said in (None, "Dynamic") or not isinstance(real, int | float):
            continue
        if not isinstance(said, int | float) or not math.isclose(said, real, rel_tol=1e-3):
            found.append(f"the header says {name} {said}, the tensors have {shown(known, name)}: the tensors count")
    if hash_state == "does not match":
        found.append("sshs_model_hash does not match: the tensors were changed after training, or damaged")
    if measured and not any(block.most for block in measured):
        found.append("every module has strength 0: it changes nothing")
    return found


def _without_alpha(file: LoraFile, lacking: int) -> list[str]:
    """What modules without alpha do, whatever alpha the header says; without one diffusers means the rank."""
    said = value("network_alpha", file.metadata.get("ss_network_alpha", "None"))
    if not lacking or (said is None and file.kind == "a diffusers LoRA"):
        return []
    found = f"{lacking} of {len(file.factors)} modules have no alpha: the rank is used instead"
    if isinstance(said, int | float) and said > 0 and len(file.ranks) == 1:
        found += f", {file.ranks[0] / said:.3g} times the strength of the header's alpha {said}"
    return [found]


def _of_variant(row: Variant, known: Mapping[str, Value], claim: tuple[Variant, int] | None) -> list[str]:
    """What speaks against serving the file as an epoch of that variant."""
    if row.failed:
        return [f"the owner calls {row.name} a {row.verdict}"]
    own = claim is not None or known.get("output_name") == row.lora
    epoch = known.get("epoch", claim[1] if claim else None)
    if own and epoch not in (None, row.epoch) and (not claim or epoch == claim[1]):
        return [f"this is epoch {epoch}; {row.name} is served at epoch {row.epoch}: {row.verdict}"]
    return []
