import pytest

from closedloop.notebook.excerpts import of_python, of_yaml

YAML = """\
# About all of it.
kind: Deployment
spec:
  containers:
    - name: first
      args: [a, b] # in order
    # The one that matters.
    - name: second
      env:
        - {name: HOST, value: x}
      probe: {path: /ready}

  # About what follows.
  text: |
    one
    two
status: {}
"""


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("kind", ["kind: Deployment"]),
        ("spec/containers/first", ["name: first", "args: [a, b] # in order"]),
        ("spec/containers/second/env", ["env:", "  - {name: HOST, value: x}"]),
        ("spec/containers/second/env/HOST", ["{name: HOST, value: x}"]),
        ("spec/text", ["text: |", "  one", "  two"]),
        ("status", ["status: {}"]),
    ],
)
def test_a_path_leads_to_lines_as_they_are(path: str, lines: list[str]) -> None:
    assert of_yaml(YAML, path.split("/")).splitlines() == lines


def test_without_a_path_it_is_the_whole_file() -> None:
    assert of_yaml(YAML) == YAML.rstrip("\n")


def test_comments_of_what_follows_are_left_out() -> None:
    shown = of_yaml(YAML, ["spec", "containers"])
    assert "The one that matters" in shown
    assert "What follows" not in shown
    assert shown.splitlines()[-1].strip() == "probe: {path: /ready}"


def test_values_are_folded() -> None:
    shown = of_yaml(YAML, ["spec"], fold=["containers", "text"])
    assert [line for line in shown.splitlines() if "#" not in line and line] == [
        "spec:",
        "  containers: …",
        "  text: …",
    ]


def test_a_step_that_leads_nowhere_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="there is no 'third': name one of first, second"):
        of_yaml(YAML, ["spec", "containers", "third"])
    with pytest.raises(ValueError, match="there is no 'x'"):
        of_yaml(YAML, ["kind", "x"])
    with pytest.raises(ValueError, match="nothing in it"):
        of_yaml("")


PYTHON = """\
class A:
    def one(self):
        return 1

    async def two(self):  # twice
        return 2
"""


def test_a_member_is_shown_without_its_indentation() -> None:
    assert of_python(PYTHON, "A.one") == "def one(self):\n    return 1"
    assert of_python(PYTHON, "A.two").splitlines()[0] == "async def two(self):  # twice"
    assert of_python(PYTHON) == PYTHON


def test_a_member_that_is_not_there() -> None:
    with pytest.raises(
        ValueError, match=r"there is no 'three' in 'A\.three': name one of one, two"
    ):
        of_python(PYTHON, "A.three")
