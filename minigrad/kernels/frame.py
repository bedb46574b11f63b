"""A frame: the pixels that a convolution needs just now, copied side by side with zeros where its padding lies."""

from minigrad.kernels.layout import copy
from minigrad.kernels.subroutine import subroutine


@subroutine
def fill_frame(frame, x, image, top, left, rows, columns):
    """Copy rows x columns pixels of an image, from (top, left) on, into the flat `frame`; zeros outside the image."""
    height, width, channels = x.shape[1:]
    pitch, source = columns * channels, x.reshape(-1)
    begin = max(0, min(columns, -left)) * channels  # before the image
    end = max(begin, min(columns, width - left) * channels)  # and before its end
    for row in range(rows):
        at, start = row * pitch, ((image * height + top + row) * width + left) * channels
        if 0 <= top + row < height and begin < end:
            frame[at : at + begin] = 0
            copy(frame[at + begin : at + end], source[start + begin : start + end])
            frame[at + end : at + pitch] = 0
        else:
            frame[at : at + pitch] = 0
