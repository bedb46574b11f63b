"""What a training run was: one row of numbers an epoch."""

from dataclasses import asdict, dataclass, field, fields


@dataclass
class History:
    """Equally long lists, one entry for each finished epoch; JSON holds all of it (`as_dict`).

    Attributes
    ----------
    train_loss, train_accuracy : list of float
        Means over the epoch's batches as they were learned from: in training mode (dropout, augmentation, label
        smoothing and all), while the weights moved. That is why they may look worse than those of the test images.
    test_loss, test_accuracy : list of float
        After the epoch, in evaluation mode. Accuracies are fractions in [0, 1].
    lr : list of float
        Learning rate of the epoch's last step.
    seconds : list of float
        For training and testing together.
    images_per_second : list of float
        Of training alone.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    images_per_second: list[float] = field(default_factory=list)

    def __len__(self):
        """Return the number of finished epochs."""
        return len(self.train_loss)

    def append(self, **row):
        """Add an epoch: a number for every list."""
        for column in fields(self):
            getattr(self, column.name).append(row[column.name])

    def last(self):
        """Return the last epoch as {name: number}."""
        if not len(self):
            raise ValueError("History: there is no epoch yet; train for at least one")
        return {name: values[-1] for name, values in self.as_dict().items()}

    def best(self):
        """Return (epoch, test accuracy) of the epoch, counted from 1, that was best on the test images.

        For a look only: a result chosen by its test accuracy flatters itself, so report the last epoch's.
        """
        accuracy = max(self.last() and self.test_accuracy)
        return self.test_accuracy.index(accuracy) + 1, accuracy

    def as_dict(self):
        """Return {name: list}; ``History(**d)`` is the way back."""
        return asdict(self)

    def plot(self, axes=None):
        """Draw loss and accuracy; `axes` is a pair of matplotlib axes (made if None), which is returned."""
        from ..plots import curves

        return curves(self, axes)
