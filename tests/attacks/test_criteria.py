"""When an attack has succeeded: by hand, by the definition, and composed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from attacks.criteria import Confident, Criterion, Misclassified, Targeted, margin

LOGITS = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.5], [1.0, 1.0, 0.0], [-4.0, -1.0, -9.0]])
TABLES = arrays(np.float64, (6, 4), elements=st.floats(-50, 50))
CLASSES = arrays(np.int64, 6, elements=st.integers(0, 3))


def test_by_hand():
    labels = np.array([0, 0, 1, 1])
    assert_array_equal(margin(LOGITS, labels), [2, -2, 0, 3])
    assert_array_equal(Misclassified(labels).met(LOGITS), [False, True, True, False])  # a tie goes to the first class
    assert_array_equal(Targeted(labels).met(LOGITS), [True, False, False, True])
    assert_array_equal(Confident(labels, 2.0).met(LOGITS), [False, True, False, False])
    assert_array_equal(Confident(labels, 2.5).met(LOGITS), [False, False, False, False])
    assert_array_equal(Confident(labels, 2.5, targeted=True).met(LOGITS), [False, False, False, True])


def test_margin_leaves_the_logits_alone():
    before = LOGITS.copy()
    margin(LOGITS, np.zeros(4, int))
    assert_array_equal(LOGITS, before)


@given(TABLES, CLASSES)
def test_the_margin_says_what_the_criteria_say(logits, classes):
    lead = margin(logits, classes)
    slow = [row[k] - max(v for j, v in enumerate(row) if j != k) for row, k in zip(logits, classes, strict=True)]
    assert_array_equal(lead, slow)
    sure = lead != 0
    assert_array_equal(Misclassified(classes).met(logits)[sure], lead[sure] < 0)
    assert_array_equal(Targeted(classes).met(logits), ~Misclassified(classes).met(logits))


@given(TABLES, CLASSES, st.floats(0, 20), st.floats(0, 20))
def test_more_confidence_is_harder_to_meet(logits, classes, one, two):
    for targeted in (False, True):
        easy, hard = (Confident(classes, kappa, targeted).met(logits) for kappa in sorted((one, two)))
        assert (easy | ~hard).all()


@given(TABLES, CLASSES, CLASSES, arrays(np.int64, 3, elements=st.integers(0, 5)))
def test_criteria_compose_and_can_be_taken_apart(logits, labels, targets, index):
    left, right = Misclassified(labels), Confident(targets, 1.0, targeted=True)
    both, either = left & right, left | right
    assert_array_equal(both.met(logits), left.met(logits) & right.met(logits))
    assert_array_equal(either.met(logits), left.met(logits) | right.met(logits))
    for criterion in (left, right, Targeted(targets), both, either, both | Targeted(targets)):
        assert_array_equal(criterion.take(index).met(logits[index]), criterion.met(logits)[index])


def test_the_base_decides_nothing():
    with pytest.raises(NotImplementedError):
        Criterion().met(LOGITS)
    with pytest.raises(NotImplementedError):
        Criterion().take([0])
