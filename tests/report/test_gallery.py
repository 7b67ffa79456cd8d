"""The gallery, used as a person uses it: in a real browser, from disk, with keys, on a phone, with hostile prompts."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from bench.batch_folder import write_folder
from punks.batch.manifest import entries
from punks.errors import BatchError, ImageError
from punks.report import gallery
from punks.report.gallery import write_gallery
from punks.request import divide, from_json
from tests.support.browser import CHROMIUM, chromium

TIMES = "\N{MULTIPLICATION SIGN}"
WARNING = "eyes: the palette has no <blue> for eyes; left as painted"
NASTY = """</script><img src=x onerror="document.title='owned'"> & "quotes" ' \u2028 {{title}} <!-- <script>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no Chromium here; script/browser installs it")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 punks, the first two with paintings, and three jobs that failed."""
    folder = tmp_path_factory.mktemp("gallery") / "night watch"
    write_folder(folder, 1000, images=False, failures=3)
    write_folder(folder.parent / "few", 2, paintings=True)
    shutil.copytree(folder.parent / "few" / "paintings", folder / "paintings", dirs_exist_ok=True)
    shutil.copytree(folder.parent / "few" / "images", folder / "images", dirs_exist_ok=True)
    rows = [with_painting(entry) if entry["job"] <= 2 else entry for entry in entries(folder)]
    rows[2] |= {"warnings": WARNING}
    write_gallery(folder, rows)
    return folder


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    yield from opened(browser, folder)


def opened(browser: Browser, folder: Path, **options: Any) -> Iterator[Page]:
    """The page on disk, all punks read; a script error, a refused load or any request elsewhere fails the test."""
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
    context.set_default_timeout(10_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
    page.goto((folder / "index.html").resolve().as_uri())
    count = facts(folder)["count"]
    expect(page.locator("#summary")).to_have_text(f"{count:,} punk" + "s" * (count != 1))
    expect(page.locator("#grid canvas.painted").first).to_be_visible()
    yield page
    context.close()
    assert troubles == []


def with_painting(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "files": {**entry["files"], "painting": f"paintings/{entry['name']}.png"}}


def facts(folder: Path) -> dict[str, Any]:
    text = (folder / "index.html").read_text("utf-8")
    return json.loads(text.split('id="head">')[1].split("</script>")[0])


def rows(folder: Path) -> list[dict[str, Any]]:
    return [entry for entry in entries(folder) if entry["status"] == "done"]


def shown(page: Page) -> list[str]:
    """Names on the screen, in the order of the page."""
    return page.locator("#grid b").all_text_contents()


def choice(page: Page, kind: str, value: str) -> Locator:
    """The line of a value among the filters."""
    facet = page.locator("fieldset", has=page.locator("legend", has_text=kind))
    return facet.locator("label", has=page.get_by_text(value, exact=True))


def clipboard(page: Page) -> str:
    return page.evaluate("() => navigator.clipboard.readText()")


def art(page: Page, selector: str, folder: Path, name: str) -> None:
    """What a canvas shows on the screen is the punk's cells, each of them a square of one color."""
    canvas = page.locator(selector).first
    box = canvas.bounding_box()
    assert box
    assert box["width"] == box["height"]
    assert box["width"] % 24 == 0
    canvas.scroll_into_view_if_needed()
    file = folder / "shot.png"
    canvas.screenshot(path=file)
    with Image.open(file) as shot, Image.open(folder / "pixels" / f"{name}.png") as cells:
        pixels, side = np.asarray(shot.convert("RGB")), round(box["width"]) // 24
        assert (pixels == np.asarray(cells.convert("RGB")).repeat(side, 0).repeat(side, 1)).all()


def test_a_thousand_punks_and_only_those_on_the_screen_exist(page: Page, folder: Path) -> None:
    assert page.title() == "night watch"
    assert shown(page)[:3] == ["000001", "000002", "000003"]
    assert 10 < page.locator("#grid li").count() < 80
    expect(page.locator("#grid canvas").first).to_have_class("painted")
    art(page, "#grid canvas", folder, "000001")
    page.keyboard.press("End")
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
    expect(page.get_by_text("001000", exact=True)).to_be_visible()
    assert page.locator("#grid li").count() < 80


def test_search_finds_words_of_the_prompt_names_and_seeds(page: Page, folder: Path) -> None:
    page.keyboard.press("/")
    search = page.locator("#search")
    expect(search).to_be_focused()
    for text, wanted in {
        "red hair, gold crown": lambda e: all(
            re.search(rf"\b{w}", e["prompt"]) for w in ("red", "hair", "gold", "crown")
        ),
        "afro": lambda e: "afro" in e["prompt"],
        "000042": lambda e: e["name"] == "000042",
        "777": lambda e: e["recipe"]["seed"] == 777,
        "5": lambda e: e["job"] == 5 or re.search(r"\b5", e["prompt"]),
        "fro": lambda _: False,
        "(": lambda _: False,
    }.items():
        search.fill(text)
        found = [e["name"] for e in rows(folder) if wanted(e)]
        expect(page.locator("#summary")).to_have_text(f"{len(found):,} of 1,000 punks")
        assert shown(page) == found[: len(shown(page))]
        expect(page.locator("#nothing")).to_be_visible(visible=not found)
    page.keyboard.press("Escape")
    expect(page.locator("#summary")).to_have_text("1,000 punks")
    expect(page.locator("#grid button").first).to_be_focused()


def test_traits_filter_within_a_type_by_or_across_types_by_and(page: Page, folder: Path) -> None:
    def choose(type_: str, value: str) -> None:
        choice(page, type_, value).click()

    def number(type_: str, value: str) -> str:
        return choice(page, type_, value).locator("span").last.inner_text()

    traits = [entry["traits"] for entry in rows(folder)]
    choose("hair style", "afro")
    choose("hair style", "mohawk")
    choose("background", "teal")
    found = [t for t in traits if t["hair style"] in ("afro", "mohawk") and t["background"] == "teal"]
    expect(page.locator("#summary")).to_have_text(f"{len(found):,} of 1,000 punks")
    # beside each value stands how many there would be with it
    assert number("headwear", "gold crown") == str(sum(t["headwear"] == "gold crown" for t in found))
    other = [t for t in traits if t["hair style"] in ("afro", "mohawk") and t["background"] == "lavender"]
    assert number("background", "lavender") == str(len(other))
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#summary")).to_have_text("1,000 punks")


def test_a_color_filters_by_the_palettes(page: Page, folder: Path) -> None:
    near = page.evaluate("() => NEAR")

    def has(entry: dict[str, Any], color: str) -> bool:
        a = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        return any(
            gallery._distance(a, [int(one[i : i + 2], 16) for i in (1, 3, 5)]) <= near for one in entry["palette"]
        )

    swatch = page.locator("#facets [data-color]").nth(9)
    color = str(swatch.get_attribute("data-color"))
    swatch.click()
    found = sum(has(entry, color) for entry in rows(folder))
    assert 0 < found < 1000
    expect(page.locator("#summary")).to_have_text(f"{found:,} of 1,000 punks")
    swatch.click()
    page.locator("#picker").fill("#6ae745")
    found = sum(has(entry, "#6ae745") for entry in rows(folder))
    expect(page.locator("#summary")).to_have_text(f"{found:,} of 1,000 punks")


def test_order_by_rarity_and_by_confidence(page: Page, folder: Path) -> None:
    done = rows(folder)
    page.locator("#sort").select_option("unsure")
    least = sorted(done, key=lambda e: round(e["confidence"], 3))
    assert shown(page)[:5] == [e["name"] for e in least][:5]
    page.locator("#sort").select_option("rare")
    shares = {(k, v): sum(e["traits"][k] == v for e in done) for e in done for k, v in e["traits"].items()}
    rarest = sorted(done, key=lambda e: -sum(1000 / shares[item] for item in e["traits"].items()))
    assert shown(page)[:5] == [e["name"] for e in rarest][:5]


def test_zoom_keeps_cells_square_in_the_grid_and_in_the_view(page: Page, folder: Path) -> None:
    sides: list[float] = []
    for _ in range(4):
        art(page, "#grid canvas", folder, "000001")
        sides.append(page.locator("#grid canvas").first.bounding_box()["width"])
        page.keyboard.press("+")
    page.locator("#size").fill("2")
    expect(page.locator("#grid")).to_have_class("small")
    art(page, "#grid canvas", folder, "000001")
    assert sides == sorted(sides)
    assert sides[-1] > sides[0]
    page.locator("#grid button").nth(2).click()
    art(page, "#view-art", folder, "000003")
    before = page.locator("#view-art").bounding_box()["width"]
    page.keyboard.press("+")
    expect(page.locator("#zoom")).to_have_text(f"2{TIMES}")
    assert page.locator("#view-art").bounding_box()["width"] == 2 * before
    assert page.locator("#view-art").evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    page.keyboard.press("0")
    expect(page.locator("#zoom")).to_have_text(f"1{TIMES}")


def test_painting_and_art_stand_side_by_side_and_move_together(page: Page) -> None:
    page.locator("#grid button").first.click()
    painting, art_ = page.locator("#view-painting"), page.locator("#view-art")
    expect(painting).to_be_visible()
    left, right = painting.bounding_box(), art_.bounding_box()
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert (left["width"], left["height"]) == (right["width"], right["height"])
    assert painting.evaluate("one => one.complete && one.naturalWidth") == 512
    art_.click(position={"x": right["width"] * 0.9, "y": right["height"] * 0.9})
    panes = page.locator("figure")
    expect(page.locator("#zoom")).to_have_text(f"2{TIMES}")
    for pane in (0, 1):  # an assertion that waits: the other pane hears of it a moment later
        expect(panes.nth(pane)).not_to_have_js_property("scrollLeft", 0)
    panes.nth(1).evaluate("one => one.scrollTo(7, 11)")
    for pane in (0, 1):
        expect(panes.nth(pane)).to_have_js_property("scrollLeft", 7)
        expect(panes.nth(pane)).to_have_js_property("scrollTop", 11)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#view-name")).to_have_text("000003")
    expect(painting).to_be_hidden()


def test_recipe_command_and_colors_are_copied(page: Page, folder: Path) -> None:
    page.locator("#grid button").nth(1).click()
    entry = rows(folder)[1]
    page.get_by_role("button", name="Copy recipe").click()
    expect(page.locator("#said")).to_have_text("Copied: the recipe")
    assert from_json(clipboard(page)) == divide(entry["recipe"])
    assert list(json.loads(clipboard(page))) == list(entry["recipe"])
    page.get_by_role("button", name="Copy command").click()
    expect(page.locator("#said")).to_have_text("Copied: punks generate --recipe images/000002.png")
    assert clipboard(page) == "punks generate --recipe images/000002.png"
    assert (folder / clipboard(page).split()[-1]).is_file()
    page.get_by_role("button", name=f"Copy {entry['palette'][0]}").click()
    expect(page.locator("#said")).to_have_text(f"Copied: {entry['palette'][0]}")
    page.keyboard.press("r")
    expect(page.locator("#said")).to_have_text("Copied: the recipe")
    assert json.loads(clipboard(page))["seed"] == 2


def test_a_browser_without_the_clipboard_copies_the_old_way(page: Page) -> None:
    page.evaluate("() => Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate(
        "() => document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })"
    )
    page.locator("#grid button").first.click()
    page.keyboard.press("c")
    expect(page.locator("#said")).to_contain_text("Copied")
    assert page.evaluate("() => window.copied") == "punks generate --recipe images/000001.png"


def test_keys_do_all_that_a_mouse_does(page: Page) -> None:
    def focused() -> str:
        return page.evaluate(
            "() => document.activeElement.querySelector('b')?.textContent ?? document.activeElement.id"
        )

    columns = page.evaluate("() => shown.columns")
    page.keyboard.press("ArrowDown")
    assert focused() == "000001"
    keys = {"ArrowRight": 1, "ArrowDown": 1 + columns, "ArrowLeft": columns, "ArrowUp": 0}
    for key, place in keys.items():
        page.keyboard.press(key)
        assert focused() == f"{place + 1:06d}"
    page.keyboard.press("End")
    assert focused() == "001000"
    expect(page.get_by_text("001000", exact=True)).to_be_in_viewport()
    page.keyboard.press("ArrowRight")
    assert focused() == "001000"
    page.keyboard.press("Home")
    assert focused() == "000001"
    page.keyboard.press("PageDown")
    assert int(focused()) > columns
    ring = page.locator("#grid button:focus-visible canvas")
    assert ring.evaluate("one => getComputedStyle(one).boxShadow") != "none"
    at = focused()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator("#view-name")).to_have_text(at)
    for _ in range(20):  # the focus stays inside
        page.keyboard.press("Tab")
        assert page.evaluate(
            "() => document.activeElement === document.body || byId('viewer').contains(document.activeElement)"
        )
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator("#grid button:focus b")).to_have_text(f"{int(at) + 1:06d}")


def test_every_control_has_a_name(page: Page) -> None:
    page.locator("#grid button").first.click()
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, a, [role=img]')].filter((one) =>
            !(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.[0]?.textContent.trim()))
            .map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    label = page.locator("#grid button").first.get_attribute("aria-label")
    assert label
    assert label.startswith("000001, seed 1, confidence ")
    tile = page.locator("#grid li").first
    assert (tile.get_attribute("aria-posinset"), tile.get_attribute("aria-setsize")) == ("1", "1000")


def test_failed_jobs_are_listed(page: Page, folder: Path) -> None:
    box = page.locator("#failures")
    expect(box.locator("summary")).to_have_text("3 jobs failed")
    box.locator("summary").click()
    failed = [entry for entry in entries(folder) if entry["status"] == "failed"]
    assert box.locator("li").all_inner_texts() == [f"{e['name']} (job {e['job']}) {e['error']}" for e in failed]


def test_what_could_not_be_done_is_listed_and_told(page: Page) -> None:
    box = page.locator("#warnings")
    expect(box.locator("summary")).to_have_text("1 punk with a warning")
    box.locator("summary").click()
    assert box.locator("li").all_inner_texts() == [f"000003 (job 3) {WARNING}"]
    page.locator("#grid button").nth(2).click()
    expect(page.locator("#view-warnings")).to_have_text(WARNING)
    page.locator("#previous").click()
    expect(page.locator("#view-warnings")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_in_light_and_dark(browser: Browser, folder: Path, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "color_scheme": scheme}
    for page in opened(browser, folder, **phone):
        wide = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert page.evaluate("() => shown.columns") == 2
        assert not page.evaluate(wide)
        paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor").strip("rgb()").split(",")
        assert (int(paper[0]) < 60) == (scheme == "dark")
        page.get_by_role("button", name="Filters", exact=True).tap()
        choice(page, "subject", "lady").tap()
        ladies = sum(entry["traits"]["subject"] == "lady" for entry in rows(folder))
        page.get_by_role("button", name=f"Show {ladies} punks").tap()
        expect(page.locator("#filters")).to_be_hidden()
        expect(page.locator("#summary")).to_have_text(f"{ladies} of 1,000 punks")
        page.locator("#grid button").first.tap()
        expect(page.locator("#view-prompt")).to_be_visible()
        assert not page.evaluate(wide)
        art_box = page.locator("#view-art").bounding_box()
        assert art_box["x"] >= 0
        assert art_box["x"] + art_box["width"] <= 360


def test_nothing_moves_while_it_loads(browser: Browser, folder: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(
        """window.moved = 0;
        const add = (list) => { for (const entry of list.getEntries()) window.moved += entry.value; };
        new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto((folder / "index.html").resolve().as_uri())
    expect(page.locator("#grid canvas.painted").first).to_be_visible()
    page.wait_for_timeout(200)
    assert page.evaluate("() => window.moved") == 0
    context.close()


def test_prompts_of_strangers_stay_text(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "</title><script>document.title='owned'<"
    write_folder(folder, 2, images=False, failures=1)
    changed = list(entries(folder))
    for entry in changed:
        entry |= {"name": f"{entry['name']} {NASTY.replace('/', '')}", "prompt": NASTY, "error": NASTY}
        entry["recipe"]["prompt"] = NASTY
        entry["traits"] = {NASTY: NASTY}
        if "files" in entry:
            entry["files"]["image"] = f"images/{NASTY.replace('/', '')}.png"
    write_gallery(folder, changed)
    for page in opened(browser, folder):
        page.locator("#failures summary").click()
        page.locator("#grid button").first.click()
        expect(page.locator("#view-prompt")).to_have_text(NASTY.replace("\u2028", " "))
        assert page.title() == folder.name
        assert page.locator("img").count() == 1
        assert page.evaluate("() => document.querySelectorAll('script').length") == 2
        page.keyboard.press("r")
        expect(page.locator("#said")).to_contain_text("Copied")
        assert json.loads(clipboard(page))["prompt"] == NASTY
        page.keyboard.press("c")
        expect(page.locator("#said")).to_contain_text("Copied")
        assert shlex.split(clipboard(page)) == ["punks", "generate", "--recipe", changed[0]["files"]["image"]]


def test_pages_of_a_large_batch_are_read_one_by_one(
    browser: Browser, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more than one page, and none of those that an earlier, larger batch left."""
    shutil.copytree(folder / "pixels", tmp_path / "pixels")
    done = rows(folder)
    more = [{**entry, "job": entry["job"] + 1000, "name": f"b{entry['name']}"} for entry in done]
    write_gallery(tmp_path, [*done, *more, *more])
    write_gallery(tmp_path, [*done, *more])
    assert sorted(path.name for path in (tmp_path / "gallery").iterdir()) == [
        *("0001.js", "0001.webp"),
        *("0002.js", "0002.webp"),
    ]
    for page in opened(browser, tmp_path):
        page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
        last = page.locator("#grid li", has_text="b001000")
        expect(last.locator("canvas")).to_have_class("painted")
        last.locator("button").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#view-place")).to_have_text("2,000 of 2,000")
        art(page, "#view-art", folder, "001000")


def test_transparent_cells_show_a_checkerboard(browser: Browser, tmp_path: Path) -> None:
    write_folder(tmp_path, 1, images=False)
    path = tmp_path / "pixels" / "000001.png"
    cells = np.dstack([np.full((24, 24, 3), 200, np.uint8), np.full((24, 24), 255, np.uint8)])
    cells[:12, :, 3] = 0
    Image.fromarray(cells).save(path)
    write_gallery(tmp_path, entries(tmp_path))
    for page in opened(browser, tmp_path):
        page.locator("#grid canvas").first.screenshot(path=tmp_path / "shot.png")
        with Image.open(tmp_path / "shot.png") as shot:
            pixels = np.asarray(shot.convert("RGB"))
        half = len(pixels) // 2
        assert (pixels[half:] == 200).all()
        assert len(np.unique(pixels[:half].reshape(-1, 3), axis=0)) >= 2
        assert not (pixels[:half] == 200).all(-1).any()


def test_an_empty_batch_and_one_without_traits(browser: Browser, tmp_path: Path) -> None:
    write_gallery(tmp_path, [])
    context = browser.new_context()
    page = context.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#nothing")).to_have_text("No punk is painted yet.")
    context.close()
    write_folder(tmp_path, 3, images=False)
    write_gallery(tmp_path, [{key: value for key, value in e.items() if key != "traits"} for e in entries(tmp_path)])
    for page in opened(browser, tmp_path):
        expect(page.locator("fieldset")).to_have_count(1)
        assert page.locator("#sort option:not([hidden])").count() == 2
        page.locator("#grid button").first.click()
        expect(page.locator("#traits-title")).to_be_hidden()


def test_the_page_names_no_other_place_and_its_policy_forbids_them(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert "unsafe" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_damaged_pixels_and_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    write_folder(tmp_path, 1, images=False)
    (tmp_path / "gallery").write_text("in the way")
    with pytest.raises(BatchError, match="the gallery cannot be written"):
        write_gallery(tmp_path, entries(tmp_path))
    (tmp_path / "gallery").unlink()
    (tmp_path / "pixels" / "000001.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"000001\.png"):
        write_gallery(tmp_path, entries(tmp_path))
    assert not list(tmp_path.rglob("*.part"))
