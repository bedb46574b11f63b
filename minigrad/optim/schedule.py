"""Learning rates that change with time: a schedule holds a step count and sets `optimizer.lr` from it.

PyTorch computes most rates from the one before. Here every rate is a formula of the count alone, equal to PyTorch's up
to rounding, so that a schedule has no memory but its count.
"""

from math import cos, pi

from .optimizer import Optimizer


class Schedule:
    """Base of all schedules; a subclass defines `lr_at`.

    Parameters
    ----------
    optimizer : Optimizer
        Its `lr` now is the rate to start from; it is set at once, and by every `step`.
    per : {"epoch", "batch"}
        How often `minigrad.train.fit` calls `step`; whoever calls it by hand may do so as they like.
    **settings : number
        What `lr_at` needs, kept as attributes.

    Raises
    ------
    TypeError
        If `optimizer` is not an Optimizer.
    ValueError
        If `per` is something else.
    """

    def __init__(self, optimizer, per, **settings):
        me = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{me}: got a {type(optimizer).__name__}, expected an Optimizer; pass the optimizer first")
        if per not in ("epoch", "batch"):
            raise ValueError(f"{me}: per is {per!r}, expected 'epoch' or 'batch'")
        self.optimizer, self.per, self.last_epoch, self.base_lr = optimizer, per, 0, optimizer.lr
        self.settings = ("last_epoch", "base_lr", *settings)
        vars(self).update(settings)
        self.apply()

    def lr_at(self, count):
        """The learning rate after `count` steps."""
        raise NotImplementedError(f"{type(self).__name__} has no lr_at: define lr_at(self, count)")

    def apply(self):
        """Set what the schedule controls in the optimizer, for the present count."""
        self.optimizer.lr = self.lr_at(self.last_epoch)

    def step(self):
        """Count one further epoch (or batch), and set the rate."""
        self.last_epoch += 1
        self.apply()

    def state_dict(self):
        """Collect all that the next rates depend on: {str: number}. The optimizer keeps the present rate itself."""
        return {name: getattr(self, name) for name in self.settings}

    def load_state_dict(self, state):
        """Take over what `state_dict` returned.

        Raises
        ------
        ValueError
            If it was made by another kind of schedule; nothing is changed then.
        """
        if set(state) != set(self.settings):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: got {sorted(state)}, expected {sorted(self.settings)}; load "
                f"what {type(self).__name__}.state_dict() returned"
            )
        vars(self).update(state)


class StepLR(Schedule):
    """Multiply the rate by `gamma` every `step_size` epochs: ``base_lr * gamma^floor(t / step_size)``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose rate is set.
    step_size : int
        Epochs between two falls, at least 1.
    gamma : float, default 0.1
        What remains.
    per : {"epoch", "batch"}, keyword-only
        What is counted.
    """

    def __init__(self, optimizer, step_size, gamma=0.1, *, per="epoch"):
        if step_size < 1:
            raise ValueError(f"StepLR: step_size is {step_size}, expected at least 1")
        super().__init__(optimizer, per, step_size=step_size, gamma=gamma)

    def lr_at(self, count):
        """The learning rate after `count` steps."""
        return self.base_lr * self.gamma ** (count // self.step_size)


class CosineAnnealingLR(Schedule):
    """Let the rate fall along half a cosine (Loshchilov & Hutter, arXiv:1608.03983), and rise again after `T_max`.

    ``eta_min + (base_lr - eta_min) * (1 + cos(pi * t / T_max)) / 2``

    Parameters
    ----------
    optimizer : Optimizer
        Whose rate is set.
    T_max : int
        Epochs to the bottom, at least 1.
    eta_min : float, default 0
        The rate there.
    per : {"epoch", "batch"}, keyword-only
        What is counted.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, *, per="epoch"):
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max is {T_max}, expected at least 1")
        super().__init__(optimizer, per, T_max=T_max, eta_min=eta_min)

    def lr_at(self, count):
        """The learning rate after `count` steps."""
        return self.eta_min + (self.base_lr - self.eta_min) * (1 + cos(pi * count / self.T_max)) / 2


class OneCycleLR(Schedule):
    """Raise the rate to a peak, then let it fall; the momentum the other way (Smith & Topin, arXiv:1708.07120).

    Counts batches. `optimizer.lr` at the start does not matter: the rate begins at ``max_lr / div_factor`` and ends at
    ``max_lr / div_factor / final_div_factor``.

    Parameters
    ----------
    optimizer : Optimizer
        Whose `lr`, and `momentum` or `beta1`, are set.
    max_lr : float
        The peak.
    total_steps : int, optional
        Batches in the cycle; or give `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
        Their product is `total_steps`.
    pct_start : float, default 0.3
        The part of the cycle in which the rate rises, from 0 to 1.
    anneal_strategy : {"cos", "linear"}
        The shape of the slopes.
    cycle_momentum : bool, default True
        Move the momentum from `max_momentum` down to `base_momentum` and back.
    base_momentum, max_momentum : float, default 0.85 and 0.95
        Between which it moves.
    div_factor, final_div_factor : float, default 25 and 1e4
        The peak over the start, and the start over the end.
    three_phase : bool, default False
        Fall back to the start as fast as it rose, and only then to the end.

    Raises
    ------
    ValueError
        If a setting is out of range, if the optimizer has no momentum to cycle, or, in `step`, past `total_steps`.
    """

    def __init__(
        self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
        anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25.0,
        final_div_factor=1e4, three_phase=False,
    ):  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: got no length; give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps != int(total_steps) or total_steps < 1:
            raise ValueError(f"OneCycleLR: total_steps is {total_steps}, expected a whole number of at least 1")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start is {pct_start}, expected 0 to 1")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        self.anneal_strategy = anneal_strategy
        self.momentum = next((name for name in ("beta1", "momentum") if hasattr(optimizer, name)), None)
        if cycle_momentum and isinstance(optimizer, Optimizer) and self.momentum is None:
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has neither momentum nor beta1; pass cycle_momentum=False"
            )
        super().__init__(
            optimizer, "batch", total_steps=total_steps, max_lr=max_lr, pct_start=pct_start,
            cycle_momentum=cycle_momentum, base_momentum=base_momentum, max_momentum=max_momentum,
            div_factor=div_factor, final_div_factor=final_div_factor, three_phase=three_phase,
        )  # fmt: skip

    def lr_at(self, count):
        """The learning rate after `count` steps."""
        start = self.max_lr / self.div_factor
        return self._between(count, (start, self.max_lr), (self.max_lr, start), start / self.final_div_factor)

    def momentum_at(self, count):
        """The momentum after `count` steps."""
        down, up = (self.max_momentum, self.base_momentum), (self.base_momentum, self.max_momentum)
        return self._between(count, down, up, self.max_momentum)

    def apply(self):
        """Set the rate, and the momentum or beta1."""
        super().apply()
        if self.cycle_momentum:
            setattr(self.optimizer, self.momentum, self.momentum_at(self.last_epoch))

    def _between(self, count, rise, fall, end):
        """Find the phase that `count` is in, and the value on its slope."""
        if count > self.total_steps:
            raise ValueError(f"OneCycleLR: step {count} of {self.total_steps}; make total_steps the number of batches")
        top, last = float(self.pct_start * self.total_steps) - 1, self.total_steps - 1
        phases = [(top, rise), (last, (fall[0], end))]
        if self.three_phase:
            phases = [(top, rise), (float(2 * self.pct_start * self.total_steps) - 2, fall), (last, (fall[1], end))]
        begin = 0.0
        while count > phases[0][0] and len(phases) > 1:
            begin, _ = phases.pop(0)
        stop, (a, b) = phases[0]
        part = (count - begin) / (stop - begin) if stop != begin else 1.0
        return a + (b - a) * part if self.anneal_strategy == "linear" else b + (a - b) / 2 * (cos(pi * part) + 1)
