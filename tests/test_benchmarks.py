"""The benchmarks do what they say: one network for all, every attack runs, every call of a workload is shown."""

import numpy as np
import pytest

import attacks as library
import minigrad
from benchmarks import __main__ as command
from benchmarks import attacks, digits, profile, worker

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
    assert calls["conv2d: 8x32x14x14"] == 1 and calls["max_pool2d_route: 8x32x28x28"] == 1
    assert {name: getattr(minigrad.kernels, name) for name in minigrad.kernels.__all__} == before
    assert profile.text(rows).count("\n") == len(rows) + 1
