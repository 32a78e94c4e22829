"""A model of one's own: its rows and truths, its declaration, its objects, and its answers judged.

`closedloop.models.own` says which files its folder holds.
"""

import copy
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
import yaml

from closedloop.loop.output import InvalidOutput, Output
from closedloop.loop.payload import rows_of
from closedloop.loop.scoring.reading import ADVICE, read_answer, read_truth
from closedloop.loop.scoring.verdict import Verdict, judge
from closedloop.models.own import OUTPUT, label
from closedloop.paths import checkout_root
from closedloop.services.kit.declarations import parse_outputs

NAMESPACE = "seldon"
_PLACEHOLDER = "your-model"  # in the files of examples/


class OwnModelError(Exception):
    """A declaration or a row that cannot be used; a sentence with the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with a truth each; `names` are those of the columns, in order, without the truth's."""

    names: Sequence[str]
    rows: Sequence[Sequence[object]]
    truths: Sequence[object]


def read_rows(path: Path, truth: str) -> Rows:
    """The rows of a CSV file with a heading, whose column `truth` has the truths.

    Cells that read as numbers are numbers. Raises `OwnModelError`.
    """
    rows, truths = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            if truth not in names:
                raise OwnModelError(
                    f"{path} has no column {truth!r}: name the truths' column, one of"
                    f" {', '.join(names) or 'none'}"
                )
            at = names.index(truth)
            for cells in filter(None, reader):
                if len(cells) != len(names) or not all(cells):
                    raise OwnModelError(
                        f"{path}, line {reader.line_num}: a value of {len(names)} is missing or one"
                        " too many: correct the line"
                    )
                row = [_value(cell) for cell in cells]
                truths.append(row.pop(at))
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OwnModelError(f"{path} cannot be read as CSV: {error}: name another file") from None
    if not rows:
        raise OwnModelError(f"{path} has no rows: add some, each with its truth")
    return Rows([name for name in names if name != truth], rows, truths)


def declared(folder: Path, name: str) -> tuple[Output, dict[str, str]]:
    """The declared output of a folder's model, and its entry of ConfigMap `model-outputs`.

    The entry has a key of its own, for the predictor of deployment `name` that is named after
    the folder. Raises `OwnModelError`.
    """
    path, predictor = folder / OUTPUT, label(folder)
    owner = f"{NAMESPACE}/{name}/{predictor}"
    try:
        said = "".join(f"  {line}\n" for line in path.read_text(encoding="utf-8").splitlines())
        output = parse_outputs(f"{owner}:\n{said}", str(path)).of((NAMESPACE, name, predictor))
    except (OSError, UnicodeDecodeError) as error:
        raise OwnModelError(
            f"{path} cannot be read: {error}: write the declaration of the model's output into it"
        ) from None
    except InvalidOutput as error:
        raise OwnModelError(" ".join(str(error).split())) from None
    assert output is not None  # it was read under this name
    return output, {f"{name}-{predictor}.yaml": f"{owner}: {json.dumps(output.said())}\n"}


def objects(file: str, name: str) -> list[dict[str, Any]]:
    """The objects of a file under `examples/`, for a model of this name."""
    text = (checkout_root() / "examples" / file).read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text.replace(_PLACEHOLDER, name)))


def deployment(name: str, images: Mapping[str, str]) -> dict[str, Any]:
    """The SeldonDeployment `name`; `images` are those of its predictors, the champion's first.

    A second one is the champion's shadow.
    """
    (made,) = objects("seldon-deployment.yaml", name)
    (first,) = made["spec"]["predictors"]
    predictors: list[dict[str, Any]] = []
    for predictor, image in images.items():
        one = {**copy.deepcopy(first), "name": predictor}
        one["componentSpecs"][0]["spec"]["containers"][0]["image"] = image
        predictors.append({**one, "shadow": True} if predictors else one)
    made["spec"]["predictors"] = predictors
    return made


def judged(output: Output, answer: Mapping[str, object], truth: object) -> Verdict:
    """The verdict on an answer of one row, by the code that the log and the metrics server run."""
    said = rows_of(dict(answer))
    actual = read_truth(output, [truth])
    return judge(output, read_answer(output, said.rows[0], said.names), actual, None)


def first_verdict(
    output: Output, folder: Path, answer: requests.Response, truth: object
) -> Verdict:
    """The verdict on the answer to one row, which is right or wrong.

    Raises `OwnModelError` where the model of `folder` failed, or its declaration does not fit.
    """
    if answer.status_code != requests.codes.ok:
        raise OwnModelError(
            f"the model of {folder} answers the first row with status {answer.status_code}:"
            f" {' '.join(answer.text.split())[:300]}: correct its predict"
        )
    verdict = judged(output, answer.json(), truth)
    about = f"the answer {answer.text.strip()[:300]} and its truth {truth!r}"
    if verdict.state != "scored":
        raise OwnModelError(f"{about} do not fit {folder / OUTPUT}: {ADVICE[verdict.reason]}")
    if verdict.correct is None:
        raise OwnModelError(
            f"{about} are neither right nor wrong by {folder / OUTPUT}: declare a tolerance, by"
            " which two models can be compared"
        )
    return verdict


def distinct(folders: Sequence[Path]) -> list[str]:
    """The predictors' names of models' folders. Raises `OwnModelError` for two of one name."""
    names = [label(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise OwnModelError(
            f"{' and '.join(map(str, folders))} have one name, {names[0]}, and predictors are named"
            " after their folders: rename one"
        )
    return names


def link(grafana: str, dashboard: str, **variables: str) -> str:
    """The address of a dashboard, by its uid, with its variables chosen."""
    chosen = {f"var-{name}": value for name, value in variables.items()}
    return f"{grafana}/d/{dashboard}?{urlencode(chosen)}"


def _value(text: str) -> object:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(text) if text.strip("+-").isdecimal() else number
