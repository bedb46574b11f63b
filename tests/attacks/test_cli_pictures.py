"""``python -m attacks pictures``: four figures, and the numbers it says of them."""

import re

import pytest
from PIL import Image

from attacks.cli import main

from .test_cli import error

pytestmark = pytest.mark.compiled
FEW = ("--steps", "20", "--learn", "20", "--carry", "50")


def test_four_figures_and_what_they_show(run, tmp_path, capsys):
    assert main(["pictures", str(run), *FEW, "--out", str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    for name in ("fooling", "from_noise", "towards", "noise"):
        assert f"{name}.png: " in printed and min(Image.open(tmp_path / "a" / f"{name}.png").size) > 200
    turned, shuffled = map(int, re.search(r"turns (\d+)% of 50 pictures .* shuffled (\d+)%", printed).groups())
    assert turned > shuffled, "learned noise carries over, the same values in another order do not"
    far, near = map(float, re.search(r"L2 ([\d.]+) to ([\d.]+)", printed).groups())
    assert far > 3 * near, "the larger beta, the nearer the picture stays"
    assert main(["pictures", str(run), *FEW, "--out", str(tmp_path / "b")]) == 0
    assert all((tmp_path / "b" / path.name).read_bytes() == path.read_bytes() for path in (tmp_path / "a").iterdir())


def test_more_pictures_than_there_are(run, tmp_path, capsys):
    said = error(capsys, "pictures", run, "--learn", 300, "--carry", 300, "--out", tmp_path / "a")
    assert "of the first 2,000 there are" in said and not (tmp_path / "a").exists()
