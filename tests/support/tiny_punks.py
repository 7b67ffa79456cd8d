"""The command line with the variant `tiny` of conftest.py, in processes of its own."""

import sys

from punks.cli import main
from punks.variants import VARIANTS, Base, Variant

# at the top level: the processes that paint import this file too
VARIANTS["tiny"] = Variant(
    name="tiny",
    base=Base(name="tiny", family="sd15", side=192),
    lora="tiny",
    epochs=2,
    epoch=1,
    num_inference_steps=1,
    guidance_scale=1,
    verdict="a random model",
)

if __name__ == "__main__":
    sys.exit(main())
