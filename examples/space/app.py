"""A Hugging Face Space that makes punks: a thin Gradio page over the functions of `punks`.

`pip install -r requirements.txt`, then `python app.py`.
"""

import functools
import os
import tempfile
from pathlib import Path

import gradio as gr

from punks import Finish, Painting, PunkError, Recipe, finish, paint
from punks.vocabulary import COLORS, EYES

VARIANT = os.environ.get("PUNKS_VARIANT", "demo")


@functools.lru_cache(maxsize=32)
def painted(prompt: str, seed: int) -> Painting:
    """Paintings stay, so that another finish costs milliseconds."""
    return paint(Recipe(prompt=prompt, variant=VARIANT, seed=seed))


def make(prompt: str, seed: float, background: str, eyes: str, colors: float) -> tuple[str, str]:
    """-> the file of the punk, which carries its recipe, and what is to be said of it."""
    try:
        how = Finish(background=background, eyes=eyes, colors=int(colors) if colors < 65 else None)
        punk = finish(painted(prompt, int(seed)), how)
    except PunkError as error:
        raise gr.Error(str(error)) from error
    path = Path(tempfile.mkdtemp()) / f"punk-{int(seed)}.png"
    punk.save(path)
    return str(path), " ".join([f"{len(punk.art.hexes)} colors.", *punk.warnings])


def page() -> gr.Blocks:
    """The page: a prompt is painted by a click, a finish changes at once."""
    with gr.Blocks(title="punks") as blocks:
        gr.Markdown("# punks\nExact 24x24 pixel-art portraits. Each file carries its recipe.")
        with gr.Row():
            with gr.Column():
                prompt = gr.Textbox(label="Prompt", value="lady, red hair, green eyes, teal solid background")
                seed = gr.Number(label="Seed", value=7, precision=0, minimum=0)
                button = gr.Button("Paint", variant="primary")
                background = gr.Dropdown(["keep", "solid", "transparent", *COLORS], value="keep", label="Background")
                eyes = gr.Dropdown(["keep", *EYES], value="keep", label="Eyes")
                colors = gr.Slider(2, 65, value=65, step=1, label="Colors (65: all)")
            with gr.Column():
                picture = gr.Image(label="Punk", type="filepath", format="png")
                said = gr.Markdown()
        inputs, outputs = [prompt, seed, background, eyes, colors], [picture, said]
        button.click(make, inputs, outputs, api_name="make")
        for control in (background, eyes, colors):
            control.change(make, inputs, outputs, api_name=False)
    return blocks


if __name__ == "__main__":
    page().launch()
