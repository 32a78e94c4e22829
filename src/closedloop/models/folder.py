"""The folder of trained models, by the same rule in the image and on one machine."""

import os
import sys
from pathlib import Path

VARIABLE = "MODEL_FOLDER"


def model_folder() -> Path:
    """`MODEL_FOLDER`, else `share/closedloop/models` of the Python environment this runs in."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(sys.prefix) / "share" / "closedloop" / "models"
