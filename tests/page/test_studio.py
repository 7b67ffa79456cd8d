"""The studio, used as a person uses it: in a real browser, by clicks, by keys, on a phone, with hostile files."""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import swatch
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Download, Locator, Page, expect

from bench.batch_folder import write_folder
from punks import Finish, Recipe, finish, open_punk
from punks.batch.manifest import entries
from punks.batch.picks import Pick, read_picks
from punks.files.palettes import read_palette
from punks.files.png import CELLS, RECIPE, read_texts, write_png
from punks.page.studio import Studio
from punks.request import to_json
from tests.support.batches import until
from tests.support.browser import CHROMIUM, chromium
from tests.support.studios import Served, studio

NASTY = (
    """</script><img src=x onerror="document.title='owned'"> & "quotes" ' {{title}} <!-- <script>alert(1)</script>"""
)
PROMPT = "lady, red hair, green eyes, teal solid background"
PATIENCE = 15_000  # ms
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no Chromium here; script/browser installs it")
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio on an empty folder, whose painter stays warm for all tests that paint."""
    with studio(tmp_path_factory.mktemp("studio") / "night watch", tiny_weights) as one:
        yield one


@pytest.fixture(scope="module")
def drawn(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio on a folder with 2,000 punks."""
    folder = tmp_path_factory.mktemp("drawn") / "batch"
    write_folder(folder, 2000, images=False)
    with studio(folder, tiny_weights) as one:
        yield one


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    yield from opened(browser)


def opened(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page; a script error, a refused load or a request to another place fails the test."""
    context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
    context.set_default_timeout(PATIENCE)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, troubles = context.new_page(), list[str]()
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda one: troubles.append(one.url) if "//127.0.0.1:" not in one.url else None)
    page.on("console", lambda one: troubles.append(one.text) if one.type == "error" and "400" not in one.text else None)
    yield page
    context.close()
    assert [one for one in troubles if not one.startswith(("blob:", "data:"))] == []


def go(page: Page, served: Served) -> None:
    page.goto(served.url)
    expect(page.locator("#folder")).to_have_text(served.folder.name)
    page.wait_for_load_state()


def use_tiny(page: Page, steps: int = 1) -> None:
    """By clicks, as everything here: the small random model, which paints in a moment."""
    page.get_by_text("Model and settings").click()
    page.locator("#variant").select_option("tiny")
    page.locator("#num_inference_steps").fill(str(steps))


def chip(page: Page, group: str, word: str, within: str = "#choose") -> Locator:
    box = page.locator(f"{within} fieldset", has=page.locator("legend", has_text=re.compile(f"^{group}$"))).last
    return box.get_by_role("radio", name=word, exact=True).or_(box.get_by_role("checkbox", name=word, exact=True))


def pick(page: Page, group: str, word: str, within: str = "#choose") -> None:
    chip(page, group, word, within).locator("xpath=..").click()


def last(served: Served) -> dict[str, Any]:
    return list(entries(served.folder))[-1]


def shown(page: Page) -> list[int]:
    """The RGBA levels that the stage shows."""
    script = "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 24, 24).data]"
    return page.locator("#canvas").evaluate(script)


def saved(page: Page, link: Locator) -> bytes:
    with page.expect_download() as found:
        link.click()
    download: Download = found.value
    return Path(download.path()).read_bytes()


def tiles(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Punks, newest first").get_by_role("option")


def clipboard(page: Page) -> str:
    return page.evaluate("() => navigator.clipboard.readText()")


def test_from_the_first_visit_to_the_first_punk_by_clicks_alone(page: Page, served: Served) -> None:
    go(page, served)
    expect(page.get_by_role("heading", name="Make a punk")).to_be_visible()
    pick(page, "Who", "lad")
    pick(page, "Hair color", "red")
    pick(page, "Hair style", "mohawk")
    pick(page, "Expression", "slight smile")
    pick(page, "Lips", "dark red")
    pick(page, "Eyes", "green")
    pick(page, "Background", "teal")
    pick(page, "Wears", "gold chain")
    prompt = "portrait of bespoke punk lad, red mohawk, wearing gold chain, slight smile, dark red lips, green eyes, "
    prompt += "teal solid background"
    expect(page.locator("#prompt")).to_have_value(prompt)
    use_tiny(page, 4)
    page.get_by_role("button", name="Paint your first punk").click()
    expect(page.locator("#about")).to_contain_text("#1", timeout=60_000)  # the model is loaded first
    entry = last(served)
    assert (
        entry["recipe"]["traits"] | {"subject": "lad", "hair": "red, mohawk", "wear": ["gold chain"]}
        == entry["recipe"]["traits"]
    )
    assert (entry["recipe"]["variant"], entry["recipe"]["num_inference_steps"]) == ("tiny", 4)
    with Image.open(served.folder / "pixels" / "000001.png") as picture:
        assert shown(page) == np.asarray(picture.convert("RGBA")).ravel().tolist()
    expect(tiles(page)).to_have_count(1)


def test_by_keys_alone(page: Page, served: Served) -> None:
    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    go(page, served)
    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.evaluate("() => document.querySelector('#surprise').focus()")
    press("Tab")
    assert page.evaluate("() => document.activeElement.value") == "lady"
    press("ArrowRight", "Tab", "ArrowRight", "Tab")
    assert chip(page, "Who", "lad").is_checked()
    assert chip(page, "Hair color", "black").is_checked()
    assert page.evaluate("() => document.activeElement.closest('label').matches(':has(:focus-visible)')")
    page.locator("summary").focus()
    press("Enter", "Tab")
    page.keyboard.type("tiny")
    assert page.locator("#variant").input_value() == "tiny"
    press("Tab", "Tab")
    page.keyboard.type("1")
    press("Escape", "Control+Enter")
    before = len(list(entries(served.folder)))
    until(lambda: len(list(entries(served.folder))) > before)
    number = last(served)["job"]
    expect(page.locator("#about")).to_contain_text(f"#{number}")
    page.evaluate("() => document.activeElement.blur()")
    press("p")
    expect(page.locator("[data-do=keep]")).to_have_attribute("aria-pressed", "true")
    press("8")
    expect(page.locator("#rating")).to_have_value("8")
    assert read_picks(served.folder)[f"{number:06d}"] == Pick(choice="keep", rating=8)
    press("x")
    expect(page.locator("[data-do=reject]")).to_have_attribute("aria-pressed", "true")
    press("x")
    expect(page.locator("[data-do=reject]")).to_have_attribute("aria-pressed", "false")
    press("ArrowRight")
    expect(page.locator("#about")).to_contain_text(f"#{number - 1}")
    press("e")
    expect(page.locator("#prompt")).to_be_focused()
    press("Escape")
    page.locator("#canvas").focus()
    press("ArrowLeft")
    expect(page.locator("#cell")).to_contain_text("column 12, row 13")


def test_cancel_while_it_paints_and_while_it_waits(page: Page, served: Served) -> None:
    go(page, served)
    use_tiny(page, 100)
    page.locator("#count").fill("3")
    page.get_by_role("button", name="Paint", exact=True).click()
    expect(page.locator("#status")).to_have_text(re.compile(r"Painting, step \d+ of 100, \d+ s left · 2 waiting"))
    expect(page.locator(".tile.waiting")).to_have_count(3)
    before = len(list(entries(served.folder)))
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".tile.waiting")).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    page.get_by_role("button", name="Paint", exact=True).click()
    expect(page.locator(".tile.waiting")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator(".tile.waiting")).to_have_count(0)
    assert len(list(entries(served.folder))) == before


def test_errors_stand_at_their_field(page: Page, served: Served) -> None:
    go(page, served)
    page.locator("#seed").fill("7e9")
    page.get_by_role("button", name="Paint", exact=True).click()
    expect(page.locator("#paint-error")).to_contain_text("seed: '7e9' is not allowed")
    expect(page.locator("#seed")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#seed")).to_be_focused()
    page.locator("#seed").fill("")
    page.locator("#more").fill("goldne crown")
    expect(page.locator("#prompt-note")).to_contain_text("did you mean")


def test_going_on_from_a_punk(page: Page, served: Served) -> None:
    go(page, served)
    tiles(page).last.click()
    expect(page.locator("#about")).to_contain_text("#1")
    first = next(iter(entries(served.folder)))["recipe"]
    page.locator("#again").select_option("2")
    until(lambda: last(served)["recipe"]["epoch"] == 2)
    assert last(served)["recipe"] | {"epoch": 1} == first
    tiles(page).last.click()
    expect(page.locator("#about")).to_contain_text("#1")
    page.get_by_role("button", name="wearing gold chain").click()
    page.locator("#tags input").fill("wearing top hat")
    page.keyboard.press("Enter")
    until(lambda: "top hat" in last(served)["recipe"]["prompt"])
    again = last(served)["recipe"]
    assert again["prompt"] == first["prompt"].replace("gold chain", "top hat")
    assert (again["seed"], again["traits"]) == (first["seed"], None)
    tiles(page).last.click()
    expect(page.locator("#about")).to_contain_text("#1")
    before = len(list(entries(served.folder)))
    page.get_by_role("button", name="Vary").click()
    until(lambda: len(list(entries(served.folder))) == before + 4)
    rows = list(entries(served.folder))[-4:]
    assert {row["recipe"]["seed"] for row in rows} == {first["seed"]}
    assert len({row["recipe"]["vary_seed"] for row in rows}) == 4


def test_two_punks_blink(page: Page, drawn: Served) -> None:
    go(page, drawn)
    tiles(page).nth(3).click()
    expect(page.locator("#about")).to_contain_text("#1997")
    other = shown(page)
    page.keyboard.press("m")
    tiles(page).nth(5).click()
    expect(page.locator("#about")).to_contain_text("#1995")
    own = until(lambda: (cells := shown(page)) != other and cells)
    page.keyboard.down("c")
    until(lambda: shown(page) == other)
    page.keyboard.up("c")
    assert shown(page) == own
    box = page.locator("#marked").bounding_box()
    assert box
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    until(lambda: shown(page) == other)
    page.mouse.up()
    assert shown(page) == own


def cell_color(served: Served, number: int, x: int, y: int) -> tuple[str, int]:
    with Image.open(served.folder / "pixels" / f"{number:06d}.png") as picture:
        cells = np.asarray(picture.convert("RGB"))
    return "#{:02x}{:02x}{:02x}".format(*cells[y, x]), int((cells == cells[y, x]).all(-1).sum())


def test_a_cell_tells_its_color_and_who_shares_it(page: Page, drawn: Served) -> None:
    go(page, drawn)
    tiles(page).nth(9).click()
    expect(page.locator("#about")).to_contain_text("#1991")
    side = page.locator("#canvas").bounding_box()["width"] / 24  # pyright: ignore[reportOptionalSubscript]
    assert side == int(side)
    page.locator("#canvas").click(position={"x": 11.5 * side, "y": 14.5 * side})
    color, count = cell_color(drawn, 1991, 11, 14)
    expect(page.locator("#cell")).to_have_text(f" {color} · column 12, row 15 · {count} cells")


CONTROLS = {
    "background chip": ({"background": "orange"}, lambda page: pick(page, "Background", "orange", "#finish")),
    "transparent": ({"background": "transparent"}, lambda page: pick(page, "Background", "transparent", "#finish")),
    "solid": ({"background": "solid"}, lambda page: pick(page, "Background", "solid", "#finish")),
    "own background": ({"background": "#123456"}, lambda page: page.locator("#finishes [type=color]").fill("#123456")),
    "eyes": ({"eyes": "blue"}, lambda page: pick(page, "Eyes", "blue", "#finish")),
    "colors": ({"colors": 7}, lambda page: page.locator("#colors").fill("7")),
    "palette": (
        {"palette": "#101010,#f0c090,#d02020,#ffffff"},
        lambda page: (page.locator("#palette").fill("#101010 #f0c090 #d02020 #fff"), page.keyboard.press("Enter")),
    ),
    "dither": (
        {"palette": "#101010,#f0c090,#d02020,#ffffff", "dither": True},
        lambda page: (
            page.locator("#palette").fill("#101010,#f0c090,#d02020,#fff"),
            page.keyboard.press("Enter"),
            page.locator("#dither").click(),
        ),
    ),
}


@pytest.fixture(scope="module")
def demo(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio with one punk of the demo, painted without the page, and a copy of its files in `before`."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    one = Studio(folder)
    one.paint(
        {
            "prompt": "lady, red hair, green eyes, teal solid background",
            "variant": "demo",
            "seed": 7,
            "num_inference_steps": 6,
        }
    )
    until(lambda: not one.queue.names())
    assert one.close()
    for kind in ("pixels", "paintings"):
        (folder.parent / kind).mkdir()
        (folder.parent / kind / "000001.png").write_bytes((folder / kind / "000001.png").read_bytes())
    with studio(folder, tiny_weights) as served:
        yield served


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_finishes_as_python_does(page: Page, demo: Served, tmp_path: Path, control: str) -> None:
    values, use = CONTROLS[control]
    go(page, demo)
    expect(page.locator("#about")).to_contain_text("#1")
    page.get_by_role("button", name="As painted").click()
    use(page)
    files = [demo.folder.parent / kind / "000001.png" for kind in ("pixels", "paintings")]
    wanted = finish(open_punk(*files), Finish(**{"background": "keep", "eyes": "keep"} | values))
    cells = (
        wanted.art.cells
        if wanted.art.cells.shape[2] == 4
        else np.dstack([wanted.art.cells, np.full((24, 24), 255, np.uint8)])
    )
    clear = cells[..., 3] == 0
    until(lambda: (np.array(shown(page), np.uint8).reshape(24, 24, 4)[~clear] == cells[~clear]).all())
    wanted.save(tmp_path / "wanted.png")
    (tmp_path / "saved.png").write_bytes(saved(page, page.get_by_role("link", name="PNG", exact=True)))
    assert read_texts(tmp_path / "saved.png") == read_texts(tmp_path / "wanted.png")
    assert (tmp_path / "saved.png").read_bytes() == (tmp_path / "wanted.png").read_bytes()
    assert (demo.folder / "images" / "000001.png").read_bytes() == (tmp_path / "wanted.png").read_bytes()


def test_every_download_opens_elsewhere(page: Page, browser: Browser, demo: Served, tmp_path: Path) -> None:
    go(page, demo)
    page.get_by_role("button", name="As painted").click()
    pick(page, "Background", "transparent", "#finish")
    expect(page.locator("#cell")).to_be_hidden()
    page.locator("#size").fill("96")

    def picture(name: str) -> np.ndarray:
        with Image.open(io.BytesIO(saved(page, page.get_by_role("link", name=name, exact=True)))) as found:
            return np.asarray(found.convert("RGBA"))

    art = picture("PNG")
    assert art.shape == (96, 96, 4)
    assert (art[..., 3] == 0).any()
    with Image.open(demo.folder / "pixels" / "000001.png") as cells:
        assert (art == np.asarray(cells.convert("RGBA")).repeat(4, 0).repeat(4, 1)).all()
    assert (picture("WebP") == art).all()
    indexed = saved(page, page.get_by_role("link", name="PNG, indexed"))
    with Image.open(io.BytesIO(indexed)) as found:
        assert found.mode == "P"
        seen = np.asarray(found.convert("RGBA"))
    assert ((seen == art).all(-1) | ((seen[..., 3] == 0) & (art[..., 3] == 0))).all()
    page.get_by_role("button", name="24", exact=True).click()
    assert picture("PNG").shape == (24, 24, 4)
    page.locator("#size").fill("96")
    drawing = browser.new_page(viewport={"width": 96, "height": 96})
    drawing.set_content(f"<body style='margin:0'>{saved(page, page.get_by_role('link', name='SVG')).decode()}")
    with Image.open(io.BytesIO(drawing.screenshot(omit_background=True))) as found:
        rendered = np.asarray(found.convert("RGBA"))
    drawing.close()
    assert ((rendered == art).all(-1) | ((rendered[..., 3] == 0) & (art[..., 3] == 0))).all()
    colors = list(dict.fromkeys(map(tuple, art[art[..., 3] > 0][:, :3].tolist())))
    for kind in ("gpl", "hex", "pal", "ase"):
        path = tmp_path / f"palette.{kind}"
        path.write_bytes(saved(page, page.get_by_role("link", name=f".{kind}")))
        assert sorted(read_palette(path)) == sorted(colors)
    levels = [
        tuple(round(255 * one) for one in color["data"]["values"])
        for color in swatch.parse(str(tmp_path / "palette.ase"))[0]["swatches"]
    ]
    assert sorted(levels) == sorted(colors)
    page.get_by_role("button", name="Copy recipe").click()
    expect(page.locator("#status")).to_have_text("Copied.")
    assert Recipe(**{k: v for k, v in json.loads(clipboard(page)).items() if k in vars(Recipe(prompt="x"))}).seed == 7
    page.get_by_role("button", name="Copy command").click()
    until(lambda: clipboard(page).startswith("punks generate"))
    assert "--background transparent" in clipboard(page)
    page.get_by_role("button", name="Copy API call").click()
    until(lambda: clipboard(page).startswith("{"))
    assert json.loads(clipboard(page))["input"]["seed"] == 7


def drop(page: Page, name: str, content: bytes) -> None:
    page.locator("#file").set_input_files({"name": name, "mimeType": "", "buffer": content})


def test_a_dropped_punk_a_photo_and_a_palette(page: Page, demo: Served) -> None:
    go(page, demo)
    drop(page, "punk.png", (demo.folder / "images" / "000001.png").read_bytes())
    expect(page.locator("#prompt")).to_have_value(PROMPT)
    expect(page.locator("#seed")).to_have_value("7")
    expect(page.locator("#num_inference_steps")).to_have_value("6")
    photo = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(photo, "JPEG")
    drop(page, "photo.jpg", photo.getvalue())
    expect(page.locator("#start-picture")).to_be_visible()
    assert page.locator("#start-picture").evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 256
    page.get_by_role("button", name="Remove picture").click()
    expect(page.locator("#start")).to_be_hidden()
    drop(page, "four.gpl", b"GIMP Palette\n0 0 0\n255 0 0\n255 255 255\n250 200 150\n")
    expect(page.locator("#palette")).to_have_value("#000000,#ff0000,#ffffff,#fac896")
    drop(page, "what.xyz", b"?")
    expect(page.locator("#paint-error")).to_contain_text("what.xyz: ")
    script = """(text) => {
      const all = new DataTransfer();
      all.items.add(new File([text], "one.hex"));
      return all;
    }"""
    transfer = page.evaluate_handle(script, "ff0000\n000000\n")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#palette")).to_have_value("#ff0000,#000000")


def test_a_dropped_lora_paints_beside_the_variants_own(page: Page, served: Served, tiny_weights: Path) -> None:
    go(page, served)
    use_tiny(page)
    lora = page.get_by_role("group", name="LoRA files")
    content = (tiny_weights / "tiny" / "lora" / "tiny.safetensors").read_bytes()
    drop(page, "my <b>style.safetensors", content)
    expect(lora).to_contain_text("my <b>style")
    lora.get_by_label("Strength of my <b>style").fill("0.5")
    page.reload()
    expect(lora.get_by_label("Strength of my <b>style")).to_have_value("0.5")
    page.locator("#paint").click()
    expect(page.locator("#about")).to_contain_text("tiny, epoch 1 + my <b>style", timeout=4 * PATIENCE)
    (one,) = last(served)["recipe"]["loras"]
    assert one["scale"] == 0.5
    assert one["sha256"] == hashlib.sha256(content).hexdigest()
    page.get_by_role("button", name="Remove my <b>style").click()
    expect(lora).to_be_empty()
    page.get_by_role("button", name="Edit e").click()
    expect(lora).to_contain_text("my <b>style")
    page.get_by_role("button", name="Remove my <b>style").click()
    drop(page, "cut.safetensors", content[:1000])
    expect(page.locator("#paint-error")).to_have_text(re.compile("^cut.safetensors: (?!.*/)"))


def test_fast_paints_in_few_steps(page: Page, served: Served) -> None:
    go(page, served)
    page.get_by_text("Model and settings").click()
    page.locator("#variant").select_option("demo")
    steps = page.locator("#num_inference_steps")
    expect(steps).to_have_attribute("placeholder", "4")
    page.get_by_label("Speed").select_option(label="Fast: distilled, 2 steps")
    expect(steps).to_have_attribute("placeholder", "2")
    page.locator("#paint").click()
    expect(page.locator("#about")).to_contain_text("demo, epoch 10 + fast", timeout=4 * PATIENCE)
    recipe = last(served)["recipe"]
    assert (recipe["num_inference_steps"], recipe["guidance_scale"], len(recipe["loras"])) == (2, 1, 1)
    page.get_by_label("Speed").select_option("off")
    page.get_by_role("button", name="Edit e").click()
    expect(steps).to_have_attribute("placeholder", "2")
    expect(steps).to_have_value("")


def test_the_palette_of_another_punk(page: Page, drawn: Served) -> None:
    go(page, drawn)
    tiles(page).nth(20).click()
    expect(page.locator("#about")).to_contain_text("#1980")
    page.get_by_role("button", name="Of another punk").click()
    tiles(page).nth(21).click()
    other = {entry["job"]: entry for entry in entries(drawn.folder)}[1979]["palette"]
    expect(page.locator("#palette")).to_have_value(",".join(other))
    expect(page.locator("#about")).to_contain_text("#1980")
    until(lambda: set({e["job"]: e for e in entries(drawn.folder)}[1980]["palette"]) <= set(other))


def test_two_thousand_punks_scroll_and_survive_a_reload(page: Page, drawn: Served) -> None:
    go(page, drawn)
    tiles(page).nth(2).click()
    expect(page.locator("#about")).to_contain_text("#1998")
    assert page.locator(".tile").count() < 600
    page.keyboard.press("g")
    box = page.locator("#tiles")
    for count in range(480, 2160, 240):
        box.evaluate("(one) => { one.scrollTop = one.scrollHeight; }")
        expect(tiles(page).nth(min(count, 2000) - 1)).to_be_attached()
    box.evaluate("(one) => { one.scrollTop = one.scrollHeight; }")
    expect(tiles(page).last).to_be_in_viewport()
    page.reload()
    expect(page.locator("#about")).to_contain_text("#1998")
    page.keyboard.press("p")
    expect(page.get_by_role("link", name="Download 1 kept")).to_be_visible()
    page.locator("#show").select_option("keep")
    expect(tiles(page)).to_have_count(1)
    page.locator("#show").select_option("")
    expect(tiles(page).nth(100)).to_be_attached()
    page.keyboard.press("p")


def test_the_kept_punks_are_a_batch_of_their_own(page: Page, demo: Served, tmp_path: Path) -> None:
    go(page, demo)
    page.locator("[data-do=keep]").click()
    archive = saved(page, page.get_by_role("link", name="Download 1 kept"))
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    assert [entry["name"] for entry in entries(tmp_path / "kept")] == ["000001"]
    assert read_picks(tmp_path / "kept") == {"000001": Pick(choice="keep")}
    for kind in ("images", "pixels", "paintings"):
        assert (tmp_path / "kept" / kind / "000001.png").read_bytes() == (
            demo.folder / kind / "000001.png"
        ).read_bytes()


def test_nothing_executes_from_a_hostile_prompt_name_or_png(page: Page, served: Served, tmp_path: Path) -> None:
    go(page, served)
    use_tiny(page)
    page.locator("#prompt").fill(NASTY)
    before = len(list(entries(served.folder)))
    page.get_by_role("button", name="Paint", exact=True).click()
    until(lambda: len(list(entries(served.folder))) > before)
    expect(page.locator("#about")).to_contain_text(f"#{last(served)['job']}")
    assert "".join(page.locator("#tags .tag").all_text_contents()) == "".join(part.strip() for part in NASTY.split(","))
    recipe = Recipe(prompt=NASTY, variant="demo", seed=3)
    path = tmp_path / "evil.png"
    write_png(Image.new("RGB", (24, 24)), path, {RECIPE: to_json(recipe, Finish()), CELLS: NASTY})
    drop(page, "<img src=x onerror=alert(1)>.png", path.read_bytes())
    expect(page.locator("#prompt")).to_have_value(NASTY)
    drop(page, "<img src=x onerror=alert(1)>.txt", b"<script>")
    expect(page.locator("#paint-error")).to_contain_text("<img src=x onerror=alert(1)>.txt: ")
    assert page.title() == "punks studio"
    assert page.locator("main img[onerror]").count() == 0
    svg = page.evaluate(f"() => fetch('api/punks/{last(served)['job']}/take/punk.svg').then((one) => one.text())")
    assert "<script" not in svg
    assert read_texts(served.folder / "pixels" / f"{last(served)['name']}.png")[RECIPE]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_and_in_both_color_schemes(browser: Browser, drawn: Served, scheme: str) -> None:
    size = {"width": 390, "height": 844}
    for page in opened(browser, viewport=size, color_scheme=scheme, has_touch=True):
        go(page, drawn)
        expect(page.locator("#about")).to_be_visible()
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
        paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (int(re.findall(r"\d+", paper)[0]) < 128) == (scheme == "dark")
        expect(page.get_by_role("button", name="Paint", exact=True)).to_be_in_viewport()
        for name, inside in {"Finish": "#finishes", "Punks": "#tiles", "Choose": "#traits"}.items():
            page.get_by_role("button", name=name, exact=True).tap()
            expect(page.locator(inside)).to_be_visible()
        page.get_by_role("button", name="Punks", exact=True).tap()
        tiles(page).nth(3).tap()
        expect(page.locator("#about")).to_contain_text("#1997")


def test_every_control_has_a_name(page: Page, drawn: Served) -> None:
    go(page, drawn)
    expect(page.locator("#about")).to_be_visible()
    script = """() => [...document.querySelectorAll("button, input, select, textarea, a, [tabindex='0']")]
      .filter((one) => !one.ariaLabel && !one.title && !one.labels?.length && !one.textContent.trim())
      .map((one) => one.outerHTML)"""
    assert page.evaluate(script) == []
    assert page.locator("img:not([alt])").count() == 0


def test_the_page_says_when_the_server_is_gone(browser: Browser, tiny_weights: Path, tmp_path: Path) -> None:
    with studio(tmp_path / "punks", tiny_weights) as one:
        context: BrowserContext = browser.new_context()
        page = context.new_page()
        go(page, one)
        one.stop()
        expect(page.locator("#status")).to_have_text("The server has stopped. Start it again with: punks studio")
        page.get_by_role("button", name="Paint", exact=True).click()
        expect(page.locator("#paint-error")).to_have_text("The server does not answer.")
        context.close()
