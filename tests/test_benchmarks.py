"""The benchmarks do what they say: one network for all, every attack runs, every call of a workload is shown."""

import subprocess
import sys

import numba
import numpy as np
import pytest

import attacks as library
import minigrad
from benchmarks import __main__ as command
from benchmarks import (
    attacks,
    costs,
    digits,
    figures,
    floors,
    goals,
    memory,
    peaks,
    profile,
    roofline,
    rounds,
    scaling,
    squeezenet,
    training,
    worker,
)

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(digits.trained(tmp_path_factory.mktemp("run"), epochs=1))


def test_training_gives_the_same_network_twice_and_one_that_has_learned(run, tmp_path):
    again = minigrad.load(digits.trained(tmp_path, epochs=1)).state_dict()
    for name, value in minigrad.load(run).state_dict().items():
        np.testing.assert_array_equal(value, again[name])
    model, x, y = digits.setting(run, 100)
    with minigrad.no_grad():
        assert (model(minigrad.Tensor(x)).data.argmax(1) == y).mean() > 0.5


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_every_attack_is_called_as_the_table_says(run, name, monkeypatch):
    seen = {}
    attack = getattr(library, name)
    monkeypatch.setattr(library, name, lambda model, x, y, **given: seen.update(given) or attack(
        model, x[:2], y[:2], **given))
    assert attacks.minigrad(name, run)().shape == (2,)
    assert attacks.OPTIONS[name].items() <= seen.items()


def test_one_long_call_is_enough_and_short_ones_are_repeated(monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(worker.time, "perf_counter", lambda: now[0])

    def lasting(seconds):
        calls.clear()
        return lambda: (calls.append(1), now.__setitem__(0, now[0] + seconds))

    for seconds, times in ((2.0, 1), (0.4, 3), (0.1, 5)):
        assert worker.measured(lasting(seconds), 0.45) == pytest.approx(1e3 * seconds) and len(calls) == times


def test_each_call_of_a_workload_gets_its_lines(monkeypatch, capsys):
    found = {"": {"minigrad": [1.0]}, "forward": {"minigrad": [2.0, 4.0, 3.0], "math": [4.0, 8.0, 12.0]}}
    monkeypatch.setattr(command, "compare", lambda libraries, workload, *settings, **_: found)
    command.show("kernels", "math", ["math"], "kernels", ["net", 1], 3)
    first, _, title, ours, theirs = capsys.readouterr().out.splitlines()
    assert first == "kernels" and title == "kernels: forward"
    assert "3.00 ms  (2.00..4.00)" in ours and theirs.endswith("minigrad / it = 0.50")


def test_a_profile_accounts_for_the_whole_step_and_leaves_the_kernels_as_they_were():
    before = {name: getattr(minigrad.kernels, name) for name in minigrad.kernels.__all__}
    rows = profile.step(8, rounds=3)
    *parts, (last, _, whole) = rows
    assert last == "whole step" and whole == pytest.approx(sum(milliseconds for _, _, milliseconds in parts))
    calls = {name: count for name, count, _ in parts}
    assert calls["conv2d_relu_max_pool2d: 8x32x14x14"] == 1 and calls["conv2d_relu_max_pool2d: 8x1x28x28"] == 1
    assert {name: getattr(minigrad.kernels, name) for name in minigrad.kernels.__all__} == before
    assert profile.text(rows).count("\n") == len(rows) + 1


def test_the_network_of_other_sizes_is_the_usual_one_at_the_usual_size():
    def layers(model):
        return [(name, type(module).__name__) for name, module in model.named_modules()]

    usual = minigrad.models.mnist_cnn(rng=np.random.default_rng(0))
    network = training.network(28, 32)
    assert layers(network) == layers(usual)
    assert {k: v.shape for k, v in network.state_dict().items()} == {k: v.shape for k, v in usual.state_dict().items()}
    for name, step in scaling.minigrad("2x14x3", "3x28x32").items():
        assert step() is None, name


def test_torch_trains_the_same_network_at_other_sizes():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        for step in (*scaling.torch("2x14x3").values(), *scaling.torch_channels_last_fused("2x14x3").values()):
            assert step() is None
    finally:
        torch.set_num_threads(threads)


def test_slopes_are_exact_for_powers_and_a_row_holds_a_value():
    times = {n: {"minigrad": [0.1 * n, 0.1 * n, 9 * n], "other": [n**2.0] * 3} for n in (2, 4, 16)}
    assert scaling.slope(times, "minigrad") == pytest.approx(1) and scaling.slope(times, "other") == pytest.approx(2)
    assert np.isnan(scaling.slope({2: times[2]}, "minigrad"))
    head, line, *rows, last = scaling.text("batch size", times, {2: 2, 4: 4, 16: 16}).splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| 2", "| 4", "| 16"]
    assert rows[1] == "| 4 | 0.40 | 16.00 | 0.03 | 100.0 |" and last.startswith("| slope | 1.00 | 2.00 |")
    assert {row.count("|") for row in (head, line, *rows, last)} == {6}


def test_every_sweep_and_thread_count_is_measured(monkeypatch):
    asked = []

    def compare(libraries, workload, *shapes, rounds, threads=None):
        asked.append((shapes, threads))
        return {shape: {name: [1.0] * rounds for name in libraries} for shape in shapes}

    monkeypatch.setattr(scaling, "compare", compare)
    sweeps = list(scaling.measure(["minigrad"], 2, 3))
    assert asked[0] == (tuple(f"{n}x28x32" for n in (16, 32, 64, 128, 256, 512, 1024)), None)
    assert asked[-3:] == [(("64x28x32",), n) for n in (1, 2, 3)]
    assert [(quantity, len(times)) for quantity, times, _ in sweeps] == [
        ("batch size", 7), ("pixels of an image", 4), ("channels", 5), ("threads", 3)]
    assert sweeps[0][2][1024] == 1024 and sweeps[1][2][28**2] == 64
    assert len(figures.scaling_curves(sweeps).axes) == 4


def test_a_worker_gets_the_number_of_threads(monkeypatch):
    class Process:
        def __init__(self, command, env, **_):
            self.stdout, seen[command[3]] = self, env

        def readline(self):
            return "ready"

    seen = {}
    monkeypatch.setattr(rounds.subprocess, "Popen", Process)
    rounds.Worker("one", "training", threads=1)
    rounds.Worker("all", "training")
    assert seen == {"one": {**rounds.START, "NUMBA_NUM_THREADS": "1"}, "all": rounds.START}


def test_peers_get_the_environment_that_the_command_was_started_in():
    program = ("import os; from benchmarks import __main__, floors, rounds; floors.moved('mnist_cnn', 2); "
               "print(set(os.environ.items()) - set(rounds.START.items()))")
    theirs = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
    environment = {name: value for name, value in rounds.START.items() if name not in theirs}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "{('GOMP_SPINCOUNT', '20000')}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark is reset through /proc")
def test_memory_counts_what_training_needs_and_not_what_was_there_before(monkeypatch):
    np.full(2**27, 1, np.uint8)  # the highest mark so far, which must not count

    def build(batch):
        held = np.full(batch * 2**20, 1, np.uint8)
        return lambda: held.sum()

    monkeypatch.setattr(training, "fake", build, raising=False)
    assert memory.peak("fake", 64) == pytest.approx(64 * 2**20 / 1e6, rel=0.1)
    rows = memory.text({64: {"minigrad": 40.0, "torch": 50.0}}).splitlines()
    assert rows[0] == "| batch | minigrad, MB | torch, MB |" and rows[2] == "| 64 | 40 | 50 (0.80) |"


def test_costs_are_those_counted_by_hand():
    given = {name: np.zeros(shape, np.float32) for name, shape in {
        "x": (2, 3, 8, 8), "w": (5, 3, 3, 3), "b": (5,), "y": (2, 5, 8, 8), "p": (7, 2)}.items()}
    x, w, b, y, p = given.values()
    window = (1, 1), (1, 1), (1, 1), 1
    assert costs.flops("conv2d", y, (x, w, b, *window)) == 2 * 640 * 27
    assert costs.traffic("conv2d", y, (x, w, b, *window)) == 4 * (384 + 135 + 5 + 640)
    assert costs.flops("conv2d_input_grad", x, (y, w, x.shape, *window)) == 2 * 640 * 27
    assert costs.flops("conv2d_weight_grad", w, (x, y, w.shape, *window)) == 2 * 640 * 27
    assert costs.flops("matmul", p @ p.T, (p, p.T)) == 2 * 7 * 7 * 2
    assert costs.flops("max_pool2d", x[:, :, ::2, ::2], (x, (2, 2))) == 96 * 3
    assert costs.traffic("adam_step", None, (p, p, p, p)) == 4 * 14 * 7  # three are also written
    assert set(costs.COSTS) <= set(minigrad.kernels.__all__)


def test_the_roofline_knows_the_kernels_of_a_step_and_draws_them():
    small = {"L2": 2**16, "L3": 2**20}
    found, roofs, unknown = roofline.measure(4, rounds=1, seconds=0, sides=(32,), limits=small)
    assert not unknown and {c.name for c in found} == {
        "conv2d_relu_max_pool2d", "conv2d_relu_max_pool2d_grads", "conv2d_relu_max_pool2d_input_grad", "relu",
        "relu_gate", "matmul", "cross_entropy", "cross_entropy_grad", "adam_step"}
    assert set(roofs.bandwidth) == {"L2", "L3", "memory"} and min(roofs.bandwidth.values()) > 0
    assert roofs.roof[1] == max(roofs.gflops.values())
    call, image = next(c for c in found if c.label == "conv2d_relu_max_pool2d 4x32x14x14"), 4 * 32 * 14 * 14
    assert call.flops == image * (2 * 32 * 9 + 1) and call.gflops == pytest.approx(call.intensity * call.bandwidth)
    assert call.bytes == 4 * (image + 32 * 32 * 9 + 32) + 5 * image // 4 and peaks.place(call.bytes, small) == "L3"
    lines = roofline.text(found, roofs, ["another"]).splitlines()
    assert len(lines) == len(found) + 6 and "another" in lines[-1]
    figure = figures.roof(found, roofs)
    assert {t.get_text() for t in figure.axes[1].texts} >= {"1", found[0].label}


def test_cache_sizes_are_of_all_cores_together():
    sizes = peaks.caches()
    assert sizes["L3"] >= 2**18 and sizes["L2"] >= 2**17 and sizes["L2"] % numba.get_num_threads() == 0


def test_a_triad_computes_what_it_is_timed_for():
    a, b, c = (np.full(1000, value, np.float32) for value in (0, 1, 2))
    peaks.triad(a, b, c, np.float32(0.5), 3, 2)
    np.testing.assert_array_equal(a, 1 + 1.5 * 2)


def test_goals_are_judged_against_the_faster_memory_order():
    found = {"features.0 Conv2d 1x1: forward": {"minigrad": [2.0], "torch": [1.0], "torch_channels_last": [4.0]},
             "features.1 ReLU 1x1: forward": {"minigrad": [2.0], "torch": [9.0], "torch_channels_last": [5.0]},
             "Adam: step": {"minigrad": [2.0], "torch": [3.0], "torch_channels_last": [3.0]}}
    lines = goals.text(found, {"features.1 ReLU 1x1: forward": 4.0, "Adam: step": 1.2}).splitlines()
    assert lines[2] == "| features.0 Conv2d 1x1: forward | 2.000 | 1.000 | channels first | 2.00 |  | 1.0 |"
    assert lines[3].endswith("| 5.000 | channels last | 0.40 | 0.80 | 0.5 |")
    assert lines[-3:] == ["2 of 3 miss their goals:", "- features.0 Conv2d 1x1: forward: 2.00, goal 1.0",
                          "- Adam: step: 0.67, goal 0.5, its bytes alone 0.40"]
    alone = goals.text({"squeezenet1_0: forward": {"minigrad": [2.0]}}, {})
    assert alone.endswith("| squeezenet1_0: forward | 2.000 | | | | | 1.0 |")


def test_a_call_takes_at_least_the_time_of_its_bytes():
    sizes = floors.moved("mnist_cnn", 2)
    numbers = 4 * 2 * 32 * 28 * 28
    assert sizes["features.1 ReLU 2x32x28x28: forward"] == 2 * numbers
    assert sizes["features.1 ReLU 2x32x28x28: gradient"] == 3 * numbers
    assert sizes["features.2 MaxPool2d 2x32x28x28: gradient"] == numbers // 4 + numbers // 16 + numbers
    assert sizes["Adam: step"] == 7 * 4 * 799_078
    assert not [call for call in sizes if "Conv2d" in call or "Linear" in call]


def test_nothing_is_said_of_what_lies_in_nearer_caches(monkeypatch):
    sizes, limits = {"small": 2**20 - 1, "middle": 2**21, "large": 2**23}, {"L2": 2**21, "L3": 2**22}
    monkeypatch.setattr(floors, "moved", lambda network, batch: sizes)
    monkeypatch.setattr(peaks, "caches", lambda: limits)
    found = floors.measure("any", 1)
    assert list(found) == ["middle", "large"] and min(found.values()) > 0


def test_squeezenet_gives_the_same_answers_in_both_libraries():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    try:
        ours, theirs = squeezenet.minigrad(1), squeezenet.torch_channels_last(1)
        for name, call in ours.items():
            expected = theirs[name]()
            assert expected.any(), name
            np.testing.assert_allclose(call(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("line, expected", [
    ("scaling", "| threads | minigrad, ms |"),
    ("memory --batch 2 3", "| 3 | 5 |"),
    ("kernels --markdown", "| squeezenet1_0: forward | 1.000 |"),
    ("roofline --batch 2 --rounds 1", "| conv2d_relu_max_pool2d_grads | 2x32x14x14, 2x32x7x7 |"),
])
def test_a_command_prints_a_markdown_table_and_writes_its_figure(line, expected, monkeypatch, capsys, tmp_path):
    def compare(libraries, workload, *settings, **_):
        names = {"scaling": settings, "kernels": ["Adam: step"], "squeezenet": ["forward"]}[workload]
        return {name: {"minigrad": [1.0]} for name in names}

    monkeypatch.setattr(command, "compare", compare)
    monkeypatch.setattr(scaling, "compare", compare)
    monkeypatch.setattr(memory, "measure", lambda libraries, batches: {batch: {"minigrad": 5.0} for batch in batches})
    monkeypatch.setattr(peaks, "caches", lambda: {"L2": 2**16, "L3": 2**20})
    monkeypatch.setattr(command, "present", lambda package, peers: [])
    figure = tmp_path / "figure.png"
    monkeypatch.setattr(sys, "argv", ["benchmarks", *line.split(), "--out", str(figure)])
    command.main()
    assert expected in capsys.readouterr().out
    assert figure.exists() == (line.split()[0] in ("scaling", "roofline"))
