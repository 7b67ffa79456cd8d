"""How fast the studio is, in headless Chromium with the demo: `python -m bench.studio`.

First paint of the page, click to finished picture (medians), 2,000 tiles scrolled, and the share of time that previews
take. `--picture` writes docs/studio.png instead, of punks that the demo paints first.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from bench.batch_folder import write_folder
from bench.pictures import DOCS, PROMPTS
from punks.batch.jobs import jobs_of
from punks.batch.places.local import Local
from punks.batch.run import run
from punks.generate import Pipeline
from punks.recipe import Recipe
from tests.support.browser import chromium

CLICKS = 20


@contextmanager
def opened(folder: Path, width: int = 1440, height: int = 900, scheme: str = "light") -> Iterator[Page]:
    """The page of a studio on a folder."""
    command = [sys.executable, "-m", "punks", "studio", str(folder), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        found = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
        if found is None:
            raise SystemExit("the studio did not start")
        with chromium() as browser:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(found[0])
            page.locator(".tile img").first.wait_for()
            page.locator("#about b").wait_for()
            yield page
    finally:
        process.terminate()
        process.wait()


def first_paint(page: Page) -> float:
    """Seconds from the request to the first contentful paint."""
    script = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
    times: list[float] = []
    for _ in range(5):
        page.reload()
        page.locator("#about b").wait_for()
        times.append(page.evaluate(script))
    return statistics.median(times)


def click_to_picture(page: Page) -> float:
    """Median seconds from a click on a background to the canvas showing it, as the page itself sees it."""
    script = """(chip) => new Promise((resolve) => {
      const pen = document.querySelector("#canvas").getContext("2d");
      const levels = () => pen.getImageData(0, 0, 24, 24).data.join();
      const before = levels(), start = performance.now(), seconds = () => (performance.now() - start) / 1000;
      const look = () => (levels() === before ? requestAnimationFrame(look) : resolve(seconds()));
      chip.click();
      look();
    })"""
    chips = page.locator("#finishes fieldset").first.locator("input[type=radio]")
    times = [chips.nth(3 + k).element_handle().evaluate(script) for k in range(CLICKS)]
    return statistics.median(times)


def scroll(page: Page, count: int) -> tuple[float, float]:
    """Seconds until all tiles were scrolled through, and the median of a frame in ms while all of them are there."""
    page.keyboard.press("g")
    box, start = page.locator("#tiles"), time.perf_counter()
    while page.locator(".tile").count() < count:
        box.evaluate("(one) => { one.scrollTop = one.scrollHeight; }")
        page.wait_for_timeout(50)
    loaded = time.perf_counter() - start
    script = """(box) => new Promise((resolve) => {
      const frames = []; let last = performance.now(); box.scrollTop = 0;
      const step = (now) => {
        frames.push(now - last); last = now; box.scrollTop += 400;
        if (frames.length < 60) requestAnimationFrame(step); else resolve(frames.sort((a, b) => a - b)[30]);
      };
      requestAnimationFrame(step);
    })"""
    return loaded, box.evaluate(script)


def preview_share(recipe: Recipe) -> float:
    """The share of the painting time that previews take."""
    pipeline = Pipeline()
    next(pipeline.paint([recipe]))
    plain, shown = (min(_seconds(pipeline, recipe, preview=preview) for _ in range(3)) for preview in (False, True))
    return shown / plain - 1


def _seconds(pipeline: Pipeline, recipe: Recipe, *, preview: bool) -> float:
    start = time.perf_counter()
    next(pipeline.paint([recipe], on_preview=(lambda _: None) if preview else None))
    return time.perf_counter() - start


def picture(path: Path) -> None:
    """Writes the README's picture: sixteen punks, first seeds, none picked."""
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "night watch"
        recipes = [Recipe(prompt=prompt, variant="demo", seed=seed) for seed, prompt in enumerate(PROMPTS)]
        run(jobs_of(recipes), folder, Local(workers=1))
        with opened(folder, 1280, 800) as page:
            page.locator(".tile").nth(13).click()
            page.wait_for_timeout(800)
            page.screenshot(path=path)
    with Image.open(path) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--picture", action="store_true")
    args = parser.parse_args()
    if args.picture:
        picture(DOCS / "studio.png")
        return
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room) / "punks"
        write_folder(folder, args.count, images=False)
        with opened(folder) as page:
            print(f"first paint             {first_paint(page):.2f} s   (< 1)", flush=True)
            print(f"click to finished       {1000 * click_to_picture(page):.0f} ms   (< 100)", flush=True)
            loaded, frame = scroll(page, args.count)
            print(f"{args.count} tiles            {loaded:.1f} s to load them all, {frame:.0f} ms a frame", flush=True)
    share = preview_share(Recipe(prompt=PROMPTS[0], variant="demo", seed=1))
    print(f"previews                {100 * share:.0f}% of the time")


if __name__ == "__main__":
    main()
