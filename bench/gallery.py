"""Gallery and sheets measured: `python -m bench.gallery --count 1000 100000`. Generated portraits, nothing is painted.

A row a count: seconds to write the gallery and the sheets, and what a new browser needs for a page on disk, median of
five: first paint, pictures on the whole screen, all facts read; then the slowest of some searches, filters and jumps.
Chromium is headless and without a GPU, its file cache warm. `--folder` measures a folder that is there.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from bench.batch_folder import write_folder
from punks.batch.manifest import entries
from punks.report.gallery import write_gallery
from punks.report.sheet import write_sheets
from tests.support.browser import chromium

MOVED = """window.moved = 0; new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.moved += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""
FULL = """() => { const seen = [...document.querySelectorAll("#grid li")].filter((one) =>
    one.getBoundingClientRect().top < innerHeight);
    return seen.length > 0 && seen.every((one) => one.querySelector("canvas.painted")); }"""
# two frames later: what was asked for is on the screen
TIMED = """async (act) => { const start = performance.now(); await (0, eval)(`(${act})`)();
    await new Promise(requestAnimationFrame); await new Promise(requestAnimationFrame);
    return performance.now() - start; }"""
SEARCHES = ("red", "gold crown", "lady black afro", "nothing like it")
JUMPS = 40


def wait(page: Page, condition: str) -> float:
    """Seconds since the navigation began, once the condition holds. -> s."""
    while not page.evaluate(condition):
        time.sleep(0.005)
    return page.evaluate("() => performance.now()") / 1000


def load(browser: Browser, path: Path) -> tuple[Page, dict[str, float]]:
    page = browser.new_context(viewport={"width": 1440, "height": 900}, bypass_csp=True).new_page()
    page.add_init_script(MOVED)
    page.goto(path.resolve().as_uri(), wait_until="commit")
    seconds = {"screen_s": wait(page, FULL), "all_s": wait(page, "() => loaded === head.count")}
    paint = page.evaluate(
        "() => performance.getEntriesByType('paint').find((e) => e.name === 'first-contentful-paint').startTime"
    )
    return page, {"first_paint_s": paint / 1000, **seconds, "moved": page.evaluate("() => window.moved")}


def use(page: Page) -> dict[str, float]:
    """The slowest of each kind of action, until the screen shows it. -> ms."""

    def slowest(acts: list[str]) -> float:
        return max(page.evaluate(TIMED, act) for act in acts)

    searches = [
        f"() => {{ byId('search').value = '{text}'; byId('search').dispatchEvent(new Event('input')); }}"
        for text in SEARCHES
    ]
    found = {
        "search_ms": slowest(searches),
        "clear_ms": slowest(["() => clear()"]),
        "color_ms": slowest(
            [f"() => document.querySelectorAll('#facets [data-color]')[{at}].click()" for at in range(8)]
        ),
        "rarest_ms": slowest(["() => { clear(); shown.order = 'rare'; look(); }"]),
    }
    jumps = [f"() => window.scrollTo(0, {at} / {JUMPS} * document.body.scrollHeight)" for at in range(JUMPS)]
    return found | {"jump_ms": slowest(["() => { shown.order = 'job'; look(); }", *jumps])}


def measure(folder: Path) -> dict[str, Any]:
    start = time.perf_counter()
    page_path = write_gallery(folder, entries(folder))
    wrote = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    sheets = write_sheets(folder, entries(folder))
    seconds = time.perf_counter() - start - wrote
    size = sum(path.stat().st_size for path in (folder / "gallery").iterdir()) / 1e6
    with chromium() as browser:
        loads: list[dict[str, float]] = []
        for _ in range(5):
            page, times = load(browser, page_path)
            loads.append(times)
            heap = page.evaluate("() => performance.memory.usedJSHeapSize / 1e6")
            if len(loads) < 5:
                page.context.close()
        used = use(page)  # the last page is still open
    medians = {key: round(statistics.median(one[key] for one in loads), 3) for key in loads[0]}
    written = {"write_s": wrote, "peak_mb": memory, "gallery_mb": size, "sheets_s": seconds, "sheets": len(sheets)}
    return (
        {key: round(value, 1) for key, value in written.items()}
        | medians
        | {key: round(value, 1) for key, value in {**used, "heap_mb": heap}.items()}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs="+", default=[1000])
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    if args.folder:
        print(args.folder.name, measure(args.folder))
        return
    for count in args.count:
        with tempfile.TemporaryDirectory() as folder:
            write_folder(Path(folder), count, images=False)
            print(count, measure(Path(folder)), flush=True)


if __name__ == "__main__":
    main()
