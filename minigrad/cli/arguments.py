"""Types of arguments: each turns text into a value, or says what would have been right."""

from argparse import ArgumentTypeError
from difflib import get_close_matches


def one_of(what, known):
    """Return a type for a name among `known`; the error suggests the nearest."""
    def choose(text):
        name = next((name for name in known if name.lower() == text.lower().replace("_", "-")), text)
        if name in known:
            return name
        near = get_close_matches(text.lower(), known, 1, 0.5)
        guess = f"did you mean {near[0]}? " if near else ""
        raise ArgumentTypeError(f"there is no {what} {text!r}; {guess}There are {', '.join(known)}")

    return choose


def number(kind, low, high=None, *, open_low=False, open_high=False):
    """Return a type for an int or float between low and high, both included unless open."""
    name = "a whole number" if kind is int else "a number"
    if high is None:
        expected = f"{name} {'above' if open_low else 'of at least'} {low}"
    else:
        expected = f"{name} from {low} to {'below ' if open_high else ''}{high}"

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not (low < value if open_low else low <= value) or value == float("inf") or (
                high is not None and not (value < high if open_high else value <= high)):
            raise ArgumentTypeError(f"{text!r} is not {expected}")
        return value

    return parse


def shape(text):
    """Parse the shape of an image: 1,28,28."""
    try:
        sizes = tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if len(sizes) != 3 or min(sizes) < 1:
        raise ArgumentTypeError(f"{text!r} is not channels,height,width, such as 1,28,28")
    return sizes
