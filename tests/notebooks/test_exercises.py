"""Every exercise of the lessons: its solution is right, its stub is unsolved, and a wrong answer is refused."""

import importlib
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(path.stem for path in (NOTEBOOKS / "exercises").glob("lesson_*.py"))


@pytest.fixture(autouse=True, scope="module")
def path():
    """Lessons run in their own folder."""
    sys.path.insert(0, str(NOTEBOOKS))
    yield
    sys.path.remove(str(NOTEBOOKS))


def _pairs():
    sys.path.insert(0, str(NOTEBOOKS))
    for lesson in LESSONS:
        module = importlib.import_module(f"exercises.{lesson}")
        for name, exercise in inspect.getmembers(module, inspect.isfunction):
            if exercise.__module__ == module.__name__ and not name.startswith("_"):
                yield pytest.param(lesson, exercise, id=f"{lesson}-{name}")
    sys.path.remove(str(NOTEBOOKS))


@pytest.mark.parametrize("lesson, exercise", list(_pairs()))
def test_solution_stub_and_mistake(lesson, exercise, capsys):
    from exercises import check

    solution = getattr(importlib.import_module(f"solutions.{lesson}"), exercise.__name__)
    assert check(exercise, solution) and ": right" in capsys.readouterr().out
    assert not check(exercise, lambda *a, **k: NotImplemented) and "not solved yet" in capsys.readouterr().out

    def wrong(*arguments, **options):
        found = solution(*arguments, **options)
        if isinstance(found, (bool, np.bool_)):
            return not found
        if isinstance(found, tuple):
            return tuple(np.asarray(f) * 0.5 + 3 for f in found)
        return np.asarray(found) * 0.5 + 3

    with pytest.raises(AssertionError, match=".{10}"):
        check(exercise, wrong)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_exercise_says_what_is_asked_and_has_a_solution(lesson):
    module, solutions = (importlib.import_module(f"{kind}.{lesson}") for kind in ("exercises", "solutions"))
    for name, exercise in inspect.getmembers(module, inspect.isfunction):
        if exercise.__module__ == module.__name__ and not name.startswith("_"):
            assert f"``{name}(" in exercise.__doc__ and getattr(solutions, name).__doc__
