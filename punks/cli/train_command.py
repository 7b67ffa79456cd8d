"""`punks train-command`: the kohya sd-scripts command that trains a variant, from what is recorded of its run."""

import argparse
import shlex
from collections.abc import Mapping

from punks.lora.training_runs import RUNS, Value
from punks.variants import VARIANTS, Variant

_SCRIPTS = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py"}
# kohya's options in the order in which a person reads them, and those of our names that kohya calls something else
_WORDS = """network_module network_dim network_alpha resolution train_batch_size num_epochs learning_rate unet_lr
    text_encoder_lr lr_scheduler lr_scheduler_num_cycles optimizer mixed_precision save_precision seed
    caption_extension shuffle_caption keep_tokens max_token_length enable_bucket bucket_no_upscale min_snr_gamma
    noise_offset adaptive_noise_scale multires_noise_iterations multires_noise_discount gradient_checkpointing"""
_OPTIONS = tuple(_WORDS.split())
_CALLED = {"num_epochs": "max_train_epochs", "optimizer": "optimizer_type"}
# not recorded of any run, and they can change the result
_NEVER_RECORDED = ("num_repeats", "lr_warmup_steps", "clip_skip", "network_dropout")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = (
        "Prints the kohya sd-scripts command that trains a variant, from what is recorded of its run. "
        "Parameters that are not recorded are marked unknown."
    )
    parser.add_argument("variant", metavar="VARIANT", choices=list(VARIANTS), help=f"one of {', '.join(VARIANTS)}")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the command, or a comment that says why there is none."""
    row = VARIANTS[args.variant]
    if row.name in RUNS:
        print(_command(row, RUNS[row.name]))
    else:
        how = "train it with training/train.py of this repository" if row.embedded else "no parameters are recorded"
        print(f"# {row.name} was not trained with kohya's scripts; {how}")
    return 0


def _command(row: Variant, recorded: Mapping[str, Value]) -> str:
    known = dict(recorded)
    if known.get("bucket_no_upscale"):  # which kohya ignores without buckets
        known["enable_bucket"] = True
    missing = [_CALLED.get(name, name) for name in _OPTIONS if name not in known]
    title = f"# {row.name}: {row.verdict}"
    if "learning_rate" not in known:
        some = ", ".join(f"{name}={known[name]}" for name in ("base", *_OPTIONS) if name in known)
        lines = [title, "# too little is recorded to train it again", f"# known: {some}"]
        return "\n".join(lines + [f"# unknown: {name}" for name in ("train_data_dir", *missing, *_NEVER_RECORDED)])
    lines = [
        title,
        "# unknown: train_data_dir. Set it to a folder with a subfolder REPEATS_NAME of pictures and .txt captions:",
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
    check = f"# check the result: punks inspect output/{row.lora_file(row.epochs)} --against {row.name}"
    return "\n".join([*lines, " \\\n  ".join(command), check])


def _option(name: str, value: Value) -> str:
    """One option as kohya takes it; empty if the run does not use it."""
    flag = f"--{_CALLED.get(name, name)}"
    if value is None or value is False:
        return ""
    if value is True:
        return flag
    if name == "resolution":
        value = str(value).replace("x", ",")
    return f"{flag}={shlex.quote(str(value))}"
