"""How many windows fit: the output sizes of convolution and pooling, one axis at a time.

A window of `kernel` taps, `dilation` apart, slides by `stride` over an axis of `size` elements with `padding` more on
either side. It reaches over `dilation * (kernel - 1) + 1` elements, so it fits

    floor((size + 2 * padding - reach) / stride) + 1

times. Pooling in `ceil_mode` rounds up instead: the last window may hang over the far edge, as long as it starts inside
the input or the near padding, never in the far padding. All of it agrees with PyTorch.
"""

from operator import index


def pair(value, name):
    """Read a setting for height and width: `3` means `(3, 3)`.

    Parameters
    ----------
    value : int or sequence of two ints
        What the caller passed.
    name : str
        How to call it in the error, e.g. ``"conv2d: stride"``.

    Returns
    -------
    tuple of (int, int)
        ``(height, width)``, plain Python ints.

    Raises
    ------
    TypeError
        If it is neither an int nor two ints.
    """
    if type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int:
        return value
    try:
        if not hasattr(value, "__len__"):
            return index(value), index(value)
        if len(value) == 2 and not isinstance(value, (bytes, bytearray, dict)):
            return index(value[0]), index(value[1])
    except TypeError:
        pass
    raise TypeError(f"{name}: got {value!r}, expected an int or a (height, width) pair of ints")


def whole(value, name):
    """Read a setting that is one number: a plain Python int, or a TypeError that calls it `name`."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name}: got {value!r}, expected an int") from None


def conv_output_size(size, kernel, stride, padding, dilation):
    """Count the positions of a convolution window along one axis.

    Parameters
    ----------
    size, kernel, stride, padding, dilation : int
        Of this axis, in elements.

    Returns
    -------
    int
        The output's size, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range, or the window is larger than the padded input.
    """
    if kernel < 1 or stride < 1 or dilation < 1 or padding < 0:
        raise ValueError(
            f"conv_output_size: got kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}, expected "
            "kernel, stride and dilation of at least 1 and padding of at least 0; check the layer's settings"
        )
    reach = dilation * (kernel - 1) + 1
    if reach > size + 2 * padding:
        raise ValueError(
            f"conv_output_size: the window reaches over {reach} elements (kernel {kernel}, dilation {dilation}), the "
            f"padded input has {size + 2 * padding} (size {size}, padding {padding}); use a larger image, a "
            "smaller kernel "
            "or more padding"
        )
    return (size + 2 * padding - reach) // stride + 1


def pool_output_size(size, kernel, stride, padding, ceil_mode):
    """Count the pooling windows along one axis.

    Parameters
    ----------
    size, kernel, stride, padding : int
        Of this axis, in elements; `padding` is at most half of `kernel`, so that every window meets the input.
    ceil_mode : bool
        Also count a last window that hangs over the far edge, if it starts left of the far padding.

    Returns
    -------
    int
        The output's size, at least 1.

    Raises
    ------
    ValueError
        If a setting is out of range, or no window fits.
    """
    if kernel < 1 or stride < 1:
        raise ValueError(
            f"pool_output_size: got kernel_size {kernel} and stride {stride}, expected at least 1; check the layer's "
            "settings"
        )
    if not 0 <= padding <= kernel // 2:
        raise ValueError(
            f"pool_output_size: got padding {padding} for kernel_size {kernel}, expected 0 to {kernel // 2} (half the "
            "kernel); pad the input before pooling instead"
        )
    room = size + 2 * padding - kernel
    count = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if size < 1 or count < 1:
        raise ValueError(
            f"pool_output_size: no window of kernel_size {kernel} fits into size {size} with padding {padding}; use a "
            "larger image or a smaller kernel_size"
        )
    return count


def pool_output_shape(input_shape, kernel_size, stride, padding, ceil_mode):
    """Give the shape of a pooled image batch.

    Parameters
    ----------
    input_shape : tuple of int
        ``(N, C, H, W)``.
    kernel_size, stride, padding : tuple of (int, int)
        ``(height, width)``.
    ceil_mode : bool
        See `pool_output_size`.

    Returns
    -------
    tuple of int
        ``(N, C, OH, OW)``.
    """
    n, c, *size = input_shape
    return n, c, *(pool_output_size(size[a], kernel_size[a], stride[a], padding[a], ceil_mode) for a in (0, 1))
