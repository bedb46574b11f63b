"""The installed package: metadata that agrees, and an import that is quick because it leaves heavy libraries alone."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).parent.parent
HEAVY = ("sklearn", "matplotlib", "pooch", "tqdm", "safetensors", "PIL")
HEAVY += ("scipy.linalg", "scipy.ndimage", "scipy.sparse", "scipy.special", "scipy.optimize")  # numba loads bare scipy
PROBE = """
import sys, time
start = time.process_time()
import minigrad
print(time.process_time() - start, *sys.modules)
"""


@pytest.fixture(scope="module")
def fresh_import():
    """The seconds `import minigrad` takes and the modules loaded after it.

    Processor time, the best of three processes: what else the machine does must not fail the test.
    """
    runs = [subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=ROOT) for _ in range(3)]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    assert not any(run.stderr for run in runs), runs[0].stderr
    seconds, modules = zip(*(run.stdout.split(maxsplit=1) for run in runs))
    return min(map(float, seconds)), set(modules[0].split())


def test_import_takes_less_than_a_second(fresh_import):
    assert fresh_import[0] < 1.0


def test_import_prints_nothing_and_leaves_heavy_libraries_alone(fresh_import):
    assert [name for name in HEAVY if name in fresh_import[1]] == []


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_requirements_have_lower_bounds_and_no_caps():
    config = setup_cfg()
    requirements = config["options"]["install_requires"] + "".join(config["options.extras_require"].values())
    lines = [line for line in requirements.splitlines() if line]
    assert len(lines) > 10
    assert [line for line in lines if not re.fullmatch(r"[\w-]+ >= [\d.]+", line)] == []


def test_version_is_the_same_everywhere():
    version = setup_cfg()["metadata"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert minigrad.__version__ == version


@pytest.mark.skipif(os.name == "nt", reason="make and bash are for POSIX systems")
def test_scripts_are_well_formed():
    subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
