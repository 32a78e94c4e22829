"""A saved scikit-learn pipeline, asked as its declared output says."""

from pathlib import Path

import yaml

from closedloop.models.own import OUTPUT, PIPELINE, FolderError
from closedloop.models.sklearn_server import SKLearnServer

# Any other kind is the answer of `predict`.
_METHODS = {"probabilities": "predict_proba", "score": "decision_function"}


class Pipeline(SKLearnServer):
    """Serves `model.joblib` of the working directory by the method that the kind of output takes.

    Raises `FolderError` where the model has no such method.
    """

    def __init__(self) -> None:
        kind = _kind(Path(OUTPUT))
        super().__init__(".", method := _METHODS.get(kind, "predict"))
        if not hasattr(self._model, method):
            raise FolderError(
                f"{PIPELINE} is a {type(self._model).__name__} without {method}, by which"
                f" {OUTPUT} with kind {kind} has it asked: declare another kind or save another"
                " model"
            )


def _kind(path: Path) -> str:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(said["kind"])
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        raise FolderError(
            f"{path} does not say the kind of output: write kind: and one of its kinds into it"
        ) from None
