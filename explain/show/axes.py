"""Where to draw: matplotlib is imported here, when it is needed, and nowhere else in this package."""


def new_axes(ax=None, size=(4, 4)):
    """The axes given, or those of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def new_figure(figure, width, height):
    """The figure given, or a new one, in inches; one that is given is resized."""
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure()
    figure.set_size_inches(width, height)
    return figure
