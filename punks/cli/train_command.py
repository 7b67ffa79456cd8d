"""`punks recipe`: the kohya sd-scripts command that trains a variant, from what is recorded of its run."""

import argparse
import shlex

from punks.lora.training_runs import RUNS, Run, Value
from punks.variants import VARIANTS, Variant

_SCRIPTS = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py"}
# options of kohya in the order in which a person reads them; those of our names that are called otherwise
_OPTIONS = (
    "network_module",
    "network_dim",
    "network_alpha",
    "resolution",
    "train_batch_size",
    "num_epochs",
    "learning_rate",
    "unet_lr",
    "text_encoder_lr",
    "lr_scheduler",
    "lr_scheduler_num_cycles",
    "optimizer",
    "mixed_precision",
    "save_precision",
    "seed",
    "caption_extension",
    "shuffle_caption",
    "keep_tokens",
    "max_token_length",
    "bucket_no_upscale",
    "min_snr_gamma",
    "noise_offset",
    "adaptive_noise_scale",
    "multires_noise_iterations",
    "multires_noise_discount",
    "gradient_checkpointing",
)
_CALLED = {"num_epochs": "max_train_epochs", "optimizer": "optimizer_type"}
# nothing is recorded of these for any run, and they can change what comes out
_NEVER_RECORDED = ("num_repeats", "enable_bucket", "lr_warmup_steps", "clip_skip", "network_dropout")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = (
        "Prints the kohya sd-scripts command that trains a variant, from what is recorded of its run. "
        "Parameters that are not recorded are marked unknown."
    )
    parser.add_argument("variant", metavar="VARIANT", choices=list(VARIANTS), help=f"one of {', '.join(VARIANTS)}")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the command, or in comments why there is none."""
    row = VARIANTS[args.variant]
    if row.name in RUNS:
        print(_recipe(row, RUNS[row.name]))
    else:
        where = "training/train.py of this repository trains it" if row.embedded else "no parameters are recorded of it"
        print(f"# {row.name}: not trained with kohya's scripts as far as is known; {where}")
    return 0


def _recipe(row: Variant, run: Run) -> str:
    known = run.parameters
    missing = [_CALLED.get(name, name) for name in _OPTIONS if name not in known]
    title = f"# {row.name}: {row.verdict}"
    if "learning_rate" not in known:
        recorded = ", ".join(f"{name}={known[name]}" for name in ("base", *_OPTIONS) if name in known)
        return "\n".join(
            [title, "# too little is recorded to train it again", f"# known: {recorded}"]
            + [f"# unknown: {name}" for name in ("train_data_dir", *missing, *_NEVER_RECORDED)]
        )
    lines = [
        title,
        "# unknown: train_data_dir, a folder that holds one named REPEATS_NAME of pictures and .txt captions; set it:",
        "#   export TRAIN_DATA_DIR=...",
        *(f"# unknown: {name}, left at kohya's default" for name in (*missing, *_NEVER_RECORDED[1:])),
    ]
    command = [
        f"accelerate launch {_SCRIPTS[row.base.family]}",
        f"--pretrained_model_name_or_path={row.base.sources[0].repo}",
        '--train_data_dir="${TRAIN_DATA_DIR:?}"',
        f"--output_dir=output --output_name={row.lora}",
        "--save_model_as=safetensors",
        "--save_every_n_epochs=1",
        *(option for name in _OPTIONS if name in known and (option := _option(name, known[name]))),
    ]
    check = f"# its outcome: punks inspect output/{row.lora_file(row.epochs)} --against {row.name}"
    return "\n".join([*lines, " \\\n  ".join(command), check])


def _option(name: str, value: Value) -> str:
    """One option as kohya takes it; empty for what the run does not use."""
    flag = f"--{_CALLED.get(name, name)}"
    if value is None or value is False:
        return ""
    if value is True:
        return flag
    if name == "resolution":
        value = str(value).replace("x", ",")
    return f"{flag}={shlex.quote(str(value))}"
