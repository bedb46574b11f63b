"""What a person sees while a model trains: a bar where there is a terminal, and one line an epoch everywhere."""

import sys


class Progress:
    """Reports on stderr; ``show=False`` makes it silent.

    The bar (tqdm) lives for one epoch and disappears; the line that follows stays. A file or a notebook gets the lines
    only.
    """

    def __init__(self, show, epochs, images):
        self.show, self.epochs, self.images = show, epochs, images
        self.bar = None

    def __enter__(self):
        """Return itself; at the end of the `with` block the bar goes, whatever ended it."""
        return self

    def __exit__(self, *error):
        """Take the bar away."""
        self.close()

    def start(self, epoch, done):
        """Begin (or take up again, after `done` images) an epoch counted from 0."""
        if self.show and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=self.images, initial=done, desc=f"epoch {epoch + 1}/{self.epochs}", unit=" images",
                            leave=False, dynamic_ncols=True,
                            bar_format="{desc} |{bar}| {percentage:3.0f} %  {rate_fmt}  {remaining} left{postfix}")

    def step(self, images, loss, accuracy):
        """Count a batch; `loss` and `accuracy` are the epoch's means so far."""
        if self.bar is not None and self.bar.update(images):  # true when the bar was drawn, ten times a second at most
            self.bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)

    def end(self, history):
        """Replace the bar by the line of the epoch that `history` ends with."""
        self.close()
        if self.show:
            row, left = history.last(), (self.epochs - len(history)) * history.seconds[-1]
            self.say(f"epoch {len(history):{len(str(self.epochs))}}/{self.epochs}"
                     f"  train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.2%}"
                     f"  test loss {row['test_loss']:.4f} accuracy {row['test_accuracy']:.2%}"
                     f"  {row['images_per_second']:,.0f} images/s"
                     f"  {duration(row['seconds'])}" + (f", {duration(left)} left" if left else ""))

    def say(self, line):
        """Print a line, if anything is shown at all."""
        if self.show:
            print(line, file=sys.stderr, flush=True)

    def close(self):
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def duration(seconds):
    """Return seconds as a person says them: 8.1 s, 2 min 5 s, 1 h 12 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
