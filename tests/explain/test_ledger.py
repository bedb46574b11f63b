"""The ledger: every unit of relevance is at the input or in a sink, per op and per sample."""

import numpy as np
import pytest

import explain
import minigrad
from explain import Line, rules
from explain.composite import rest
from explain.kinds import WEIGHTED
from minigrad import nn
from tests.explain import nets, trained


@pytest.mark.parametrize("composite", ["zero", "epsilon", "epsilon_gamma_box", "epsilon_plus_flat", "alpha2_beta1"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_trained_network_conserves_per_sample_and_per_op(batch_norm, composite):
    model, x = trained.cnn(batch_norm)
    attribution = explain.lrp(model, x, composite=composite, ledger=True)
    ledger = attribution.extra["ledger"]
    assert np.abs(ledger.residual).max() < 1e-9
    assert max(np.abs(row.unexplained).max() for row in ledger.rows) < 1e-9
    np.testing.assert_allclose(ledger.given, attribution.values.sum((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(-sum(ledger.sinks.values()), attribution.delta, atol=1e-9)
    assert np.abs(ledger.sinks["bias"]).max() > 0.01


def test_a_row_holds_the_accounts_of_its_op():
    w, b, x = np.array([[2.0, -1], [1, 3]]), np.array([0.5, -2]), np.array([[1.0, 2], [0.5, 0.25]])
    model = nn.Sequential(nn.Linear(2, 2)).to(np.float64)
    model.load_state_dict({"0.weight": w, "0.bias": b})
    ledger = explain.lrp(model, x, 1, epsilon=0.5, bounds=None, ledger=True).extra["ledger"]
    z = x @ w[1] + b[1]
    s = z / (z + 0.5 * np.sign(z))
    (row,) = ledger.rows
    assert (row.op, row.path, row.rule) == ("Linear", "0", "epsilon(0.5)")
    np.testing.assert_allclose(row.arrived, z)
    np.testing.assert_allclose(row.inputs[0], x @ w[1] * s)
    np.testing.assert_allclose(row.sinks["bias"], b[1] * s)
    np.testing.assert_allclose(row.sinks["epsilon"], 0.5 * np.sign(z) * s)
    assert not row.sinks["clamp"].any()


def test_a_skip_connection_has_two_inputs_and_an_added_constant_is_a_sink():
    model = nn.Sequential(lambda x: x.relu() + 2 * x, nn.Flatten(), lambda x: x.sum(1, keepdim=True) + 3.0)
    x = nets.images()
    ledger = explain.lrp(model, x, 0, composite="epsilon", ledger=True).extra["ledger"]
    rows = {row.op: row for row in reversed(ledger.rows)}
    skip = [row for row in ledger.rows if row.op == "Add" and len(row.inputs) == 2]
    np.testing.assert_allclose(skip[0].inputs[0] * 2, skip[0].inputs[1], rtol=1e-6)
    np.testing.assert_allclose(ledger.sinks["bias"], 3, rtol=1e-5)
    assert np.abs(ledger.residual).max() < 1e-12 and "Flatten" not in rows and "Reshape" in rows


def test_a_rule_that_loses_relevance_without_telling_is_found_out():
    def half(op, r, y, x, *rest):
        return lambda: rules.epsilon()(op, r, y, x, *rest)[0]() * 0.5, *(None for _ in rest)

    ledger = explain.lrp(
        nets.build("cnn"), nets.images(), composite=[Line(WEIGHTED, half), *rest()], ledger=True
    ).extra["ledger"]
    assert np.abs(ledger.residual).max() > 1e-3
    worst = max(ledger.rows, key=lambda row: np.abs(row.unexplained).max())
    assert worst.rule.endswith("half")


def test_batches_share_one_ledger():
    model, x = nets.build("branched"), nets.images(5)
    whole, parts = (explain.lrp(model, x, batch_size=n, ledger=True).extra["ledger"] for n in (5, 2))
    assert [row.op for row in whole.rows] == [row.op for row in parts.rows]
    for a, b in zip(whole.rows, parts.rows):
        np.testing.assert_allclose(a.arrived, b.arrived, atol=1e-12)
        np.testing.assert_allclose(a.sinks["bias"], b.sinks["bias"], atol=1e-12)
    label, other = whole.label(4), parts.label(4)
    (book,), (*_, last) = whole.books, parts.books
    assert [label(t) for t in minigrad.tape(book.scores)] == [other(t) for t in minigrad.tape(last.scores)]
    with pytest.raises(IndexError):
        parts.label(5)


def test_the_table_and_the_drawing_tell_the_same():
    model, x = trained.cnn(True)
    ledger = explain.lrp(model, x, composite="epsilon_gamma_box", ledger=True).extra["ledger"]
    lines = str(ledger).splitlines()
    assert lines[0].split() == ["op", "module", "rule", "arrived", "to", "inputs", "bias", "epsilon", "clamp"]
    assert len(lines) == len(ledger.rows) + 2 and lines[-1].split()[0] == "all"
    assert f"{ledger.score[3]:.4g}" in ledger.table(3).splitlines()[-1]
    svg = ledger.draw(3).svg
    assert f"R {ledger.score[3]:.4g}" in svg and f"R {ledger.given[3]:.4g}" in svg
    assert "rule box(0, 1), folded" in svg.replace("\N{NO-BREAK SPACE}", " ") and "bias" in svg
    top = ledger.rows[0]
    assert f"bias {top.sinks['bias'][3]:.4g}" in svg
