"""The command and the request that paint a punk again."""

import json
import shlex

from punks.cli.generate import _request as request_of
from punks.cli.generate import declare
from punks.cli.options import Parser
from punks.page.commands import api_call, command
from punks.request import divide


def test_fast_and_loras_are_given_as_a_user_gives_them():
    recipe, finish = divide({"prompt": "lady", "seed": 3, "fast": "lcm", "steps": 6})
    assert shlex.split(command(recipe, finish)) == [
        *("punks", "generate", "lady", "--variant", "sd15-perfect", "--seed", "3"),
        *("--fast", "lcm", "--num-inference-steps", "6"),
    ]
    parser = Parser()
    declare(parser)
    args = parser.parse_args(shlex.split(command(recipe, finish))[2:])
    assert request_of(args) == (recipe, finish)
    body = json.loads(api_call(recipe, finish))["input"]
    assert body == {
        "prompt": "lady",
        "variant": "sd15-perfect",
        "seed": 3,
        "fast": "lcm",
        "num_inference_steps": 6,
    }


def test_a_lora_of_ones_own_is_a_file():
    lora = {"name": "my style", "sha256": "0" * 64, "scale": 0.5}
    recipe, finish = divide({"prompt": "lady", "seed": 3, "loras": [lora], "lora_scale": 0})
    words = shlex.split(command(recipe, finish))
    assert words[-4:] == ["--lora-scale", "0", "--lora", "my style.safetensors:0.5"]
    body = json.loads(api_call(recipe, finish))["input"]
    assert (body["lora"], body["lora_scale"]) == ("https://...", 0.5)
