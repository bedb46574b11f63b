"""Solutions of lesson 3."""


def parameter_count(model):
    """Parameters carry the path of their module."""
    named = model.named_parameters()
    return sum(p.size for _, p in named), sum(p.size for path, p in named if path.startswith("features"))


def recalls(confusion):
    """Right ones over all of the class."""
    return confusion.diagonal() / confusion.sum(1)
