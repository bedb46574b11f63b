"""A run is a folder: what `python -m minigrad train` leaves behind, and where the other commands look for it."""

from pathlib import Path

from . import io

MODEL, CHECKPOINT, SETTINGS = "model.safetensors", "checkpoint.safetensors", "settings.json"
HISTORY, CURVES, CONFUSION = "history.json", "curves.png", "confusion_matrix.png"
REPORT, MISREAD = "classification_report.txt", "misclassified.png"
FILES = {
    MODEL: "the trained network; minigrad.load reads it",
    HISTORY: "loss, accuracy, learning rate and time of each epoch",
    CURVES: "the same as a picture",
    CONFUSION: "which class was taken for which",
    REPORT: "precision and recall of each class",
    MISREAD: "the images it was most surely wrong about",
    CHECKPOINT: "all that --resume needs to go on",
    SETTINGS: "what the run was started with",
}


def load_run(path):
    """Load the model of a run.

    Parameters
    ----------
    path : str or Path
        The run's folder, or a ``.safetensors`` file that `minigrad.save` wrote.

    Returns
    -------
    Module
        In evaluation mode; ``model.metadata`` holds, after `python -m minigrad train`, among others ``dataset``,
        ``classes`` and ``input``, the shape (C, H, W) of an image.

    Raises
    ------
    FileNotFoundError
        Neither is there; or the folder holds a run that has not finished.
    ValueError
        The file is damaged, or was not written by minigrad.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"load_run: there is no {path}; expected the folder of a run, or a .safetensors file")
    if not path.is_dir():
        return io.load(path)
    if not (path / MODEL).exists():
        fix = (f"its training has not finished: python -m minigrad train --out {path} --resume"
               if (path / CHECKPOINT).exists() else "is it the folder that train's --out named?")
        raise FileNotFoundError(f"load_run: {path} holds no {MODEL}; {fix}")
    return io.load(path / MODEL)
