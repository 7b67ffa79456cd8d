"""The command line as a user meets it, in a process of its own where that matters."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.cli import main
from punks.errors import ImageError
from punks.files.png import RECIPE, write_png
from punks.request import flat
from punks.snap.art import edges
from tests.support import ROOT
from tests.support.batches import TINY, until
from tests.support.drawn import exact
from tests.support.recipes import recipe_in


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def paint(*args: str) -> int:
    return main(["generate", "--variant", "tiny", *args])


def punks(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "punks", *args], capture_output=True, text=True, timeout=60)


def test_a_prompt_becomes_a_png_that_is_a_24x24_picture(capsys: pytest.CaptureFixture[str]):
    assert paint("lady, red hair", "--seed", "7", "-o", "punk.png") == 0
    said, warned = capsys.readouterr()
    with Image.open("punk.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (1024, 1024, 3)
    borders = edges(1024, 24)
    assert borders.tolist() == [round(i * 1024 / 24) for i in range(25)]
    cells = pixels[borders[:-1]][:, borders[:-1]]
    assert (cells.repeat(np.diff(borders), 0).repeat(np.diff(borders), 1) == pixels).all()
    colors = len(np.unique(cells.reshape(-1, 3), axis=0))
    assert re.fullmatch(rf"punk\.png  seed 7  \d+\.\d s  {colors} colors\n", said)
    assert re.fullmatch(
        r"punks: punk\.png: grid: the painting has no clear 24x24 grid \(confidence 0\.\d\d\)\n", warned
    )


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"NO_COLOR": ""}, {"TERM": "dumb"}])
def test_a_terminal_shows_the_palette_as_swatches(environment: dict[str, str]):
    exact(1).save("a.png")
    command = [sys.executable, "-m", "punks", "snap", "a.png", "-o", "b.png"]
    plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    ours, theirs = pty.openpty()
    subprocess.run(command, stdout=theirs, env=plain | environment, timeout=60, check=True)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    with Image.open("b.png") as image:
        colors = [color for _, color in image.getcolors()]
    swatches = re.findall(r"\x1b\[48;2;(\d+);(\d+);(\d+)m \x1b\[0m", said)
    assert f"  {len(colors)} colors" in said
    if any(environment.values()):
        assert "\x1b" not in said
    else:
        assert {tuple(map(int, one)) for one in swatches} <= set(colors)
        assert len(set(swatches)) == len(swatches) == min(32, len(colors))
        assert ("..." in said) == (len(colors) > 32)


def test_every_size_shows_the_same_cells():
    shown: list[np.ndarray] = []
    for size in (24, 25, 1000, 2048):
        assert paint("lady", "--seed", "7", "-o", f"{size}.png", "--size", str(size)) == 0
        with Image.open(f"{size}.png") as image:
            assert image.size == (size, size)
            pixels, borders = np.asarray(image), edges(size, 24)
        cells = pixels[borders[:-1]][:, borders[:-1]]
        assert (cells.repeat(np.diff(borders), 0).repeat(np.diff(borders), 1) == pixels).all()
        shown.append(cells)
    assert all((cells == shown[0]).all() for cells in shown)


def test_a_png_repaints_itself_cell_for_cell(capsys: pytest.CaptureFixture[str]):
    assert (
        paint("lady #ff0000 #00ff00", "--palette", "prompt", "--steps", "3", "--lora-scale", "0.4", "-o", "a.png") == 0
    )
    assert main(["generate", "--recipe", "a.png", "-o", "b.png"]) == 0
    with Image.open("a.png") as a, Image.open("b.png") as b:
        assert a.tobytes() == b.tobytes()
    assert recipe_in(Path("a.png")) == recipe_in(Path("b.png"))
    capsys.readouterr()
    assert main(["generate", "--recipe", "a.png", "-o", "c.png", "--epoch", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    recipe, finish = recipe_in(Path("a.png"))
    assert facts["recipe"] == json.loads(json.dumps(flat(recipe.replace(epoch=2), finish)))
    assert facts["prompt"] == recipe.painted_prompt
    assert [one.partition(":")[0] for one in facts["warnings"]] == ["grid"]
    Path("recipe.json").write_text("\ufeff" + json.dumps(facts["recipe"]), "utf-8")  # as Windows' editors begin a file
    assert main(["generate", "--recipe", "recipe.json", "-o", "d.png"]) == 0
    assert Path("c.png").read_bytes() == Path("d.png").read_bytes()


def test_outputs_count_up_and_equal_those_painted_alone(capsys: pytest.CaptureFixture[str]):
    Path("many").mkdir()
    assert paint("lady", "--seed", "3", "-n", "3", "-o", "many", "--painting", "--json") == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [fact["seed"] for fact in facts] == [3, 4, 5]
    want = {f"punk-{seed}{kind}.png" for seed in (3, 4, 5) for kind in ("", ".painting")}
    assert {path.name for path in Path("many").iterdir()} == want
    assert paint("lady", "--seed", "4", "-o", "alone.png") == 0
    assert Path("alone.png").read_bytes() == Path("many/punk-4.png").read_bytes()
    assert paint("lady", "--seed", "3", "-n", "2", "-o", "x.png") == 0
    assert Path("x-4.png").read_bytes() == Path("alone.png").read_bytes()


def test_a_name_of_our_own_never_replaces_a_file():
    for _ in range(2):
        assert paint("lady", "--seed", "3", "--size", "24") == 0
    assert {path.name for path in Path().iterdir()} == {"punk-3-2.png", "punk-3.png"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "say what to paint"),
        (["lady", "--skin", "tan", "--lips", "red"], "--lips needs --lady or --lad in place of a prompt"),
        (["lady", "red hair"], "unexpected argument 'red hair'; put quotes around a text with spaces"),
        (["lady", "-o", "~no-such-user/a"], "there is no home folder for '~no-such-user/a'; use a full path"),
        (["lady", "--num-outputs", "9999999999"], "use a whole number from 1 to 10000; punks batch paints more"),
        (["lady", "--seed", "-1"], "seed: -1 is not allowed; use a whole number from 0 to 4294967295"),
        (["lady", "--seed", "one"], "argument --seed: 'one' is not allowed; use a whole number from 0 to 4294967295"),
        (["lady", "--guidance", "7,5"], "'7,5' is not allowed; write 7.5 with a decimal point"),
        (["lady", "--steps", "101"], "num_inference_steps: 101 is not allowed; use a whole number from 1 to 100"),
        (["lady", "--num-outputs", "0"], "num_outputs: 0 is not allowed"),
        (["lady", "--variant", "sd16"], "variant: 'sd16' is not allowed; choose one of sd15-perfect, "),
        (["lady", "--scheduler", "dpm"], "scheduler: 'dpm' is not allowed; choose one of default, pndm, "),
        (["lady", "--sede", "1"], "unknown option --sede; did you mean --seed?\n"),
        (["lady", "--xyzzy"], "unknown option --xyzzy\n"),
        (["lady", "--palette", "prompt"], "palette: 'prompt' is not allowed"),
        (["lady", "--palette", "#12"], "palette: '#12' is not allowed"),
        (["lady", "--background", "blau"], "background: 'blau' is not allowed"),
        (["lady", "--vary-seed", "3"], "--vary-seed needs --vary"),
        (["lady", "--strength", "0.3"], "--strength needs --image"),
        (["lady", "-o", "punk.jpg"], "use a name that ends in .png, .webp, .svg, or a folder"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_why(args: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    try:
        code = paint(*args)
    except SystemExit as stop:  # argparse's own
        code = stop.code
    captured = capsys.readouterr()
    assert code == 2
    assert said in captured.err
    assert not captured.out
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["lady", "--variant", "sd15-perfect"], "script/download-weights sd15-perfect"),
        (["lady", "--variant", "demo", "--epoch", "3"], "this epoch is not included; epochs here: 1, 4, 7, 10\n"),
        (["lady", "-o", "absent/punk.png"], "absent: no such folder; create it first"),
        (["--recipe", "absent.png"], "absent.png: cannot be read: No such file or directory\n"),
        (["--recipe", "absent.json"], "absent.json: cannot be read"),
        (["lady", "--palette", "absent.hex"], "absent.hex: cannot be read"),
        (["lady", "--palette", "a.json"], "a.json: .json is not a palette format; use .act, .ase, .gif"),
        (["lady", "--palette", "~no-such-user/a.gpl"], "~no-such-user/a.gpl: "),
        (["lady", "--lora", "~no-such-user/a.safetensors:1"], "there is no home folder for '~no-such-user/a."),
    ],
)
def test_a_failure_exits_with_1_and_says_the_way_out(args: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert paint(*args) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("punks: ")
    assert captured.err.count("\n") == 1
    assert not list(Path().iterdir())


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder where not even root can write")
def test_a_folder_that_takes_no_file_is_said_before_weights_are_asked_for(capsys: pytest.CaptureFixture[str]):
    for output in ("/proc", "/proc/punk.png"):
        assert paint("lady", "--variant", "sd15-perfect", "-o", output) == 1
        assert capsys.readouterr().err.startswith("punks: /proc: cannot be written (")


def test_a_place_where_no_server_can_listen_is_said_at_once(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as other:
        for port, why in ((other.getsockname()[1], "in use"), (99999, "0 to 65535")):
            assert main(["serve", "--port", str(port)]) == 1
            said = capsys.readouterr().err
            assert said.startswith(f"punks: cannot listen on 127.0.0.1, port {port} (")
            assert why in said


def test_a_palette_file_is_a_palette():
    Path("two.hex").write_text("ff0000\n0000ff\n")
    assert paint("lady", "--palette", "two.hex", "-o", "punk.png") == 0
    assert str(recipe_in(Path("punk.png"))[1].palette) == "#ff0000,#0000ff"
    with Image.open("punk.png") as image:
        assert {color for _, color in image.getcolors()} <= {(255, 0, 0), (0, 0, 255)}


def test_the_longest_name_that_a_system_takes_is_written(tmp_path: Path):
    path = tmp_path / f"{'a' * 251}.png"
    write_png(Image.new("RGB", (24, 24)), path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "punk.png"
    folder.mkdir()
    with pytest.raises(ImageError, match="cannot be written"):
        write_png(Image.new("RGB", (2, 2)), folder)
    assert [p.name for p in tmp_path.iterdir()] == ["punk.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "prompt: missing; say what to paint"),
        ('{"prompt": "x", "os": "rm"}', "unknown field 'os'; fields are prompt, "),
        ('{"prompt": "x", "seed": 1e99}', "seed: 9999"),
        ("x" * 100, "it is not JSON"),
    ],
)
def test_a_recipe_of_a_stranger_is_validated(text: str, said: str, capsys: pytest.CaptureFixture[str]):
    write_png(Image.new("RGB", (24, 24)), Path("x.png"), {RECIPE: text})
    assert main(["generate", "--recipe", "x.png"]) == 2
    assert said in capsys.readouterr().err


def test_a_png_without_recipe_is_said_to_have_none(capsys: pytest.CaptureFixture[str]):
    Image.new("RGB", (2, 2)).save("x.png")
    assert main(["generate", "--recipe", "x.png"]) == 1
    assert capsys.readouterr().err == (
        "punks: x.png: no recipe inside; punks and A1111, among others, write one into their pictures\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recipe", "demo"], "punks: `recipe` is called `train-command` now\n"),
        (["snap", "a.png", "-o", "b", "--lock-palette"], "punks snap: --lock-palette is called --shared-palette now\n"),
        (
            ["batch", "a.csv", "-o", "b", "--palette-lock=8"],
            "punks batch: --palette-lock is called --shared-palette now\n",
        ),
        (["batch", "--traits", "a.toml", "-o", "b"], "punks batch: --traits FILE is called --collection FILE now\n"),
        (
            ["finish", "a.png", "--backgroud", "red"],
            "punks finish: unknown option --backgroud; did you mean --background?\n",
        ),
    ],
)
def test_old_names_and_misspelt_ones_are_answered_with_the_right_one(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize("palette", ["#f00,#00f", "#f00 #00f", "ff0000 0000ff", "#F00;#00f", "#ff0000,\n#0000ff"])
def test_a_palette_is_written_with_commas_or_spaces_in_every_command(palette: str):
    exact(1).save("a.png")
    assert paint("lady", "--palette", palette, "--steps", "1", "-o", "punk.png") == 0
    assert main(["finish", "punk.png", "--palette", palette, "-o", "finished.png"]) == 0
    assert main(["snap", "a.png", "--palette", palette, "-o", "snapped.png"]) == 0
    for name in ("punk.png", "finished.png", "snapped.png"):
        with Image.open(name) as image:
            assert {color for _, color in image.getcolors()} <= {(255, 0, 0), (0, 0, 255)}
    assert str(recipe_in(Path("finished.png"))[1].palette) == "#ff0000,#0000ff"


def test_help_and_errors_start_without_torch():
    code = (
        "import sys; from punks.cli import main\n"
        "for args in (['--help'], ['generate', '--help'], ['generate', 'x', '--seed', '-1'], ['weights']):\n"
        "    try: main(args)\n"
        "    except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_without_a_variant_the_demo_paints_and_says_so(capsys: pytest.CaptureFixture[str]):
    assert main(["generate", "lady", "--steps", "1", "--guidance", "1"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("sd15-perfect is not installed; painting with the small demo model instead\n")
    assert "script/download-weights sd15-perfect" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generate", "lady", "--seed", "-1"], "punks: seed: -1 is not allowed; "),
        (["generate", "lady", "--vary-seed", "1"], "punks generate: --vary-seed needs --vary\n"),
        (["batch", "--prompt", "lady", "-o", "out", "--near", "3"], "punks batch: --near needs --unlike\n"),
        (["batch", "--prompt", "lady", "-o", "out", "--store", "x://y"], "punks: store: "),
        (["compare", "lady", "-o", "out", "--workers", "0"], "punks compare: --workers: use a whole number"),
    ],
)
def test_what_is_refused_does_not_say_first_that_the_demo_paints(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    with suppress(SystemExit):  # argparse's own
        main(words)
    assert capsys.readouterr().err.startswith(said)


def test_version_and_no_command():
    assert punks("--version").stdout.startswith("punks ")
    assert punks().returncode == 2


def test_a_checkout_that_was_never_installed_runs(tmp_path: Path):
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "punks" not in path.name:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "punks").symlink_to(ROOT / "punks")
    for argument, said in (("traits", "hair"), ("--version", "punks (a checkout that was never installed)\n")):
        command = [sys.executable, "-S", "-m", "punks", argument]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_leaves_is_no_traceback(unbuffered: str):
    process = subprocess.Popen(
        [sys.executable, "-m", "punks", "weights"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inspect", ROOT / "weights/demo/lora/punks_demo.safetensors"], ""),
        (["snap", "a" * 300, "-o", "out"], f"punks: {'a' * 300}: cannot be read: File name too long\n"),
    ],
)
def test_a_closed_output_is_no_traceback(words: list[str | Path], said: str):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "punks", *words]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1 if said else 0, said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_the_output_is_said_once():
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "punks", "traits"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stderr) == (1, "punks: output: No space left on device\n")


def test_what_the_system_refuses_is_no_traceback(capsys: pytest.CaptureFixture[str]):
    assert main(["snap", "a" * 300, "-o", "out"]) == 1
    assert capsys.readouterr().err.startswith("punks: aaa")


def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path):
    large = ("-n", "10000", "--size", "4096", "-o", str(tmp_path))  # so that most of the time goes into writing
    process = subprocess.Popen(
        [sys.executable, TINY, "generate", "lady", "--variant", "tiny", *large],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: list(tmp_path.glob("*.png")))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().endswith("punks: interrupted")
    assert "Traceback" not in err
    for path in tmp_path.iterdir():
        assert path.suffix == ".png"
        assert not path.name.startswith(".")
        Image.open(path).load()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["generat", "lady"], "punks: unknown command generat; did you mean generate?\n"),
        (["xyzzy"], "punks: unknown command xyzzy\n"),
        ([], "usage: punks [-h] [--version] COMMAND ...\n"),
    ],
)
def test_a_command_that_is_no_command(words: list[str], said: str):
    done = punks(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
