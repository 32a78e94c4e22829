"""The declaration of one predictor's output: the meaning of its answers.

A declaration is a mapping; every file of ConfigMap `model-outputs` has them, one for each
`namespace/deployment/predictor`, with `*` as the predictor for all of a deployment:

- `kind`: `class`, `probabilities`, `score`, `regression` or `multilabel`.
- `classes` (all but regression): names or codes, in the order of indices and columns.
- `codes` (all but regression): the number that stands for each of `classes`.
- `column`: name or index of the answer's column, or a list of them; else the whole row.
- `threshold` (score, probabilities of two classes, multilabel): at or above it the second class,
  or the label, is predicted.
- `answer`, `truth` (all but regression): how it states a class: by `name`, `code` or `index`.
- `tolerance` (regression): an absolute error up to this counts as correct.
- `reward_threshold`: a reward at or above it means correct.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, cast, get_args

Kind = Literal["class", "probabilities", "score", "regression", "multilabel"]
Way = Literal["name", "code", "index"]
Column = str | int
Number = int | float
"""A number that stays whole where it is: compiled, what is said to be a float is a double."""

_KINDS = get_args(Kind)
_WAYS = get_args(Way)
_FIELDS: Mapping[str, frozenset[str]] = {
    "kind": frozenset(_KINDS),
    "classes": frozenset(_KINDS) - {"regression"},
    "codes": frozenset({"class", "probabilities", "score", "multilabel"}),
    "column": frozenset(_KINDS),
    "threshold": frozenset({"score", "probabilities", "multilabel"}),
    "answer": frozenset(_KINDS) - {"regression"},
    "truth": frozenset(_KINDS) - {"regression"},
    "tolerance": frozenset({"regression"}),
    "reward_threshold": frozenset(_KINDS),
}
# A class name becomes a metric's label and a keyword of the log.
LONGEST_CLASS = 256
MOST_CLASSES = 1000
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


class InvalidOutput(ValueError):
    """A declaration that cannot be used; the message names it, the field and the remedy."""


@dataclass(frozen=True)
class Output:
    """The meaning of one predictor's answers; see the module's table.

    `classes` are labels, under which rows are counted; `codes` has the number that stands for
    each, or is empty. An empty `column` is the whole row.
    """

    kind: Kind
    classes: tuple[str, ...] = ()
    codes: tuple[Number, ...] = ()
    column: tuple[Column, ...] = ()
    threshold: float | None = None
    answer: Way | None = None
    truth: Way | None = None
    tolerance: float | None = None
    reward_threshold: float | None = None

    @cached_property
    def digest(self) -> str:
        """Twelve characters that differ between declarations that differ."""
        said = [getattr(self, name) for name in self.__dataclass_fields__]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]

    def said(self) -> dict[str, object]:
        """The declaration as `read_output` takes it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
            if value not in (None, ())
        }

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.classes)}

    @cached_property
    def by_code(self) -> Mapping[Number, int]:
        return {code: index for index, code in enumerate(self.codes)}

    @cached_property
    def names_are_indices(self) -> bool:
        """Whether a number can be read as an index without being another class's name."""
        return all(
            not number_like(name) or name == str(index) for index, name in enumerate(self.classes)
        )


@dataclass(frozen=True)
class Outputs:
    """The declarations there are, by `namespace/deployment/predictor`; `*` is any predictor."""

    declared: Mapping[tuple[str, str, str], Output] = field(default_factory=dict)

    def of(self, names: tuple[str, str, str]) -> Output | None:
        """The declaration of (namespace, deployment, predictor), None where there is none."""
        found = self.declared.get(names)
        return found or self.declared.get((names[0], names[1], "*"))


def read_outputs(said: object) -> Outputs:
    """Outputs from a file of declarations, decoded.

    Raises `InvalidOutput`; then no part of it is used.
    """
    if said is None:
        return Outputs()
    if not isinstance(said, Mapping):
        raise InvalidOutput(
            f"the declarations are a {type(said).__name__}: write a mapping from"
            " namespace/deployment/predictor to what its output is"
        )
    declared = {}
    for owner, declaration in said.items():
        parts = tuple(owner.split("/")) if isinstance(owner, str) else ()
        if len(parts) != 3 or not all(parts):
            raise InvalidOutput(
                f"{owner!r} names no predictor: write namespace/deployment/predictor,"
                " with * for all predictors of a deployment"
            )
        declared[parts[0], parts[1], parts[2]] = read_output(declaration, owner)
    return Outputs(declared)


def read_output(said: object, owner: str = "the output") -> Output:
    """Output from one declaration, decoded. Raises `InvalidOutput` that names `owner`."""
    if not isinstance(said, Mapping):
        raise InvalidOutput(f"{owner} is {said!r}: write a mapping with a kind")
    kind = said.get("kind")
    if kind not in _KINDS:
        raise InvalidOutput(f"{owner}: kind is {kind!r}: write one of {', '.join(_KINDS)}")
    for name in said:
        if name not in _FIELDS:
            raise InvalidOutput(f"{owner}: {name!r} is no field: write {', '.join(_FIELDS)}")
        if kind not in _FIELDS[name]:
            raise InvalidOutput(f"{owner}: {name} says nothing of kind {kind}: leave it out")
    classes, codes = _classes(said, str(kind), owner)
    output = Output(
        kind=cast(Kind, kind),
        classes=classes,
        codes=codes,
        column=_columns(said.get("column"), owner),
        threshold=_number(said, "threshold", owner),
        answer=_way(said, "answer", codes, owner),
        truth=_way(said, "truth", codes, owner),
        tolerance=_number(said, "tolerance", owner),
        reward_threshold=_number(said, "reward_threshold", owner),
    )
    for fault in _contradictions(output):
        raise InvalidOutput(f"{owner}: {fault}")
    return output


def number_like(text: str) -> bool:
    """Whether a text is a number's, so that it may be meant as one."""
    return _NUMBER.fullmatch(text) is not None


def _contradictions(output: Output) -> Iterator[str]:
    count = len(output.classes)
    if output.kind == "score":
        if output.threshold is None:
            yield "a score needs a threshold: write the least score of the second class"
        if count != 2:
            yield f"a score has two classes, not {count}: write the one below the threshold first"
    if output.kind == "probabilities" and count < 2:
        yield f"probabilities of {count} classes: write two classes or more, in order"
    if output.kind == "probabilities" and output.threshold is not None and count != 2:
        yield "a threshold decides between two classes: leave it out, the greatest wins"
    if output.kind == "multilabel" and not count:
        yield "multilabel needs classes: write the labels in order"
    if output.kind == "class" and not count:
        yield "a class needs classes: write their names or codes in order"
    if output.kind in ("class", "score") and len(output.column) > 1:
        yield f"{output.kind} is one column, not {len(output.column)}: write one"
    if output.column and (widths := _column_counts(output)) and len(output.column) not in widths:
        yield f"column names {len(output.column)} columns of {count} classes: write one for each"
    if output.tolerance is not None and output.tolerance < 0:
        yield f"tolerance is {output.tolerance}: write 0 or more"


def _column_counts(output: Output) -> tuple[int, ...]:
    """The numbers of columns that can hold such an output; empty: any number."""
    count = len(output.classes)
    # One column may hold a list, or of two classes the second one's probability.
    return (count, 1) if output.kind in ("multilabel", "probabilities") else ()


def _classes(
    said: Mapping[object, object], kind: str, owner: str
) -> tuple[tuple[str, ...], tuple[Number, ...]]:
    given = said.get("classes", [0, 1] if kind == "score" else [])
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_CLASSES:
        raise InvalidOutput(
            f"{owner}: classes is not a list of at most {MOST_CLASSES} names or codes: write one"
        )
    labels = tuple(_label(value, owner) for value in given)
    for label in labels:
        if not 0 < len(label) <= LONGEST_CLASS:
            raise InvalidOutput(
                f"{owner}: a class of {len(label)} characters: write 1 to {LONGEST_CLASS}"
            )
        if labels.count(label) > 1:
            raise InvalidOutput(f"{owner}: the class {label!r} comes twice: write it once")
    codes: object = said.get("codes")
    if codes is None:
        codes = [] if not given or any(isinstance(each, str) for each in given) else given
    if (
        not isinstance(codes, Sequence)
        or isinstance(codes, str)
        or len(codes) not in (0, len(labels))
        or not all(_is_finite(code) for code in codes)
        or len(set(codes)) != len(codes)
    ):
        raise InvalidOutput(f"{owner}: codes is {codes!r}: write one number for each class")
    # Whole ones stay whole: a double would round those past 2⁵³.
    return labels, tuple(int(code) if code == int(code) else code for code in codes)


def _label(value: object, owner: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if _is_finite(value):
        number = cast(Number, value)
        return str(int(number)) if number == int(number) else str(number)
    raise InvalidOutput(f"{owner}: the class {value!r} is neither text nor a number: write one")


def _columns(said: object, owner: str) -> tuple[Column, ...]:
    given = [] if said is None else said if isinstance(said, list) else [said]
    for each in given:
        index = isinstance(each, int) and not isinstance(each, bool) and each >= 0
        if not (index or (isinstance(each, str) and each)):
            raise InvalidOutput(
                f"{owner}: column is {said!r}: write a name, an index from 0, or a list of them"
            )
    if len(set(given)) != len(given):
        raise InvalidOutput(f"{owner}: column names one column twice: write each once")
    return tuple(given)


def _way(
    said: Mapping[object, object], name: str, codes: tuple[Number, ...], owner: str
) -> Way | None:
    way = said.get(name)
    if way is not None and way not in _WAYS:
        raise InvalidOutput(f"{owner}: {name} is {way!r}: write one of {', '.join(_WAYS)}")
    if way == "code" and not codes:
        raise InvalidOutput(f"{owner}: {name} is code, and no class has one: write codes")
    return cast(Way | None, way)


def _number(said: Mapping[object, object], name: str, owner: str) -> float | None:
    value = said.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not _is_finite(value):
        raise InvalidOutput(f"{owner}: {name} is {value!r}: write a finite number")
    return float(cast(float, value)) + 0.0  # not -0.0, which is equal and has another digest


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:
        return False
