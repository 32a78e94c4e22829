"""Seldon's prepackaged SKLEARN_SERVER, for a model folder on this machine.

Source of the behaviour: `servers/sklearnserver` of Seldon Core 1.17.1, its
swallowed exceptions included, which the wrapper turns into a 400.
"""
# ruff: noqa: ARG002  # the wrapper decides the arguments

import logging
from pathlib import Path
from typing import Any

import joblib
import yaml

_log = logging.getLogger(__name__)


class SKLearnServer:
    """Serves `<model_uri>/model.joblib`, where `model_uri` is a folder or a `file://` URL of one.

    `method` is `predict_proba` or `decision_function` (an answer of shape
    (rows, classes), columns named `t:0` and so on); any other word means
    `predict` (shape (rows,)). Raises FileNotFoundError without such a file.
    """

    def __init__(self, model_uri: str = "", method: str = "predict_proba") -> None:
        self._folder = Path(model_uri.removeprefix("file://"))
        self._method = method if method in ("predict_proba", "decision_function") else "predict"
        self.load()

    def load(self) -> None:
        path = self._folder / "model.joblib"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file: set model_uri to the folder that has one")
        self._model = joblib.load(path)

    def predict(self, features: Any, names: Any = None, meta: Any = None) -> Any:
        try:
            return getattr(self._model, self._method)(features)
        # The original swallows every error of the model.
        except Exception:  # noqa: BLE001
            _log.exception("Exception during predict")
            return None

    def init_metadata(self) -> dict[str, object]:
        """The content of an optional `metadata.yaml` beside the model."""
        path = self._folder / "metadata.yaml"
        try:
            said = yaml.safe_load(path.read_text())
        except FileNotFoundError:
            return {}
        except yaml.YAMLError:
            _log.error("metadata file %s present but does not contain valid yaml", path)
            return {}
        return said if isinstance(said, dict) else {}
