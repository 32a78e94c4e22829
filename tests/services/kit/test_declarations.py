from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from closedloop.loop.output import InvalidOutput, Output, Outputs
from closedloop.services.kit.declarations import DeclaredOutputs, parse_outputs

NAMES = ("seldon", "iris", "default")
RATE = "seldon/iris/default: {kind: regression}"
SCORE = "seldon/iris/default: {kind: score, threshold: 0.5}"


def declared(folder: Path | str) -> tuple[DeclaredOutputs, CollectorRegistry]:
    registry = CollectorRegistry()
    return DeclaredOutputs(str(folder), registry), registry


def kind(outputs: DeclaredOutputs) -> str | None:
    output = outputs.of(NAMES)
    return output.kind if output else None


def classes(text: str) -> tuple[str, ...]:
    (output,) = parse_outputs(f"a/b/c: {{kind: class, classes: {text}}}").declared.values()
    return output.classes


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("[no, yes, on, off, y, n]", ("no", "yes", "on", "off", "y", "n")),
        ("[false, true]", ("false", "true")),
        ("[False, TRUE]", ("False", "TRUE")),
        ("[010, 1]", ("10", "1")),
        ("['010', '1']", ("010", "1")),
        ("[1_0, 0x10, 0o7]", ("1_0", "0x10", "0o7")),
        ("[12:30, 2026-01-31]", ("12:30", "2026-01-31")),
        ("[1.0, 1.5, -2]", ("1", "1.5", "-2")),
        ("[1e3, .5]", ("1000", "0.5")),
        ("[.inf, .nan, nan]", (".inf", ".nan", "nan")),
        ("[=, <<]", ("=", "<<")),
        ('["é", "\\U0001F600"]', ("é", "\U0001f600")),
    ],
)
def test_a_class_is_what_is_written(text: str, labels: tuple[str, ...]) -> None:
    assert classes(text) == labels


@pytest.mark.parametrize("text", ["", "# nothing", "null", "{}", b""])
def test_an_empty_file_declares_nothing(text: str | bytes) -> None:
    assert parse_outputs(text) == Outputs()


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "- a", "text", "a/b/c: !!python/object:os.system {}", "a/b/c: {kind: class}",
        b"\xff\xfe\xfa", "a/b/c: &x [*x]", "? [a]\n: {kind: regression}", "\x00",
        "a/b/c: {kind: regression}\na/b/c: {kind: score, threshold: 1}",
        "a/b/c: {kind: regression, kind: class}",
        "a/b/c: {kind: class, classes: [" + "1" * 5000 + "]}",
    ],
)  # fmt: skip
def test_refuses_a_file_by_its_name(text: str | bytes) -> None:
    with pytest.raises(InvalidOutput, match=r"^mine\.yaml"):
        parse_outputs(text, "mine.yaml")


def test_without_a_folder_nothing_is_declared(tmp_path: Path) -> None:
    for folder in ("", tmp_path / "none"):
        outputs, _ = declared(folder)
        assert (outputs.outputs, outputs.refresh()) == (Outputs(), False)


def test_reads_again_what_changed(tmp_path: Path) -> None:
    outputs, _ = declared(tmp_path)
    assert kind(outputs) is None
    file = tmp_path / "outputs.yaml"
    file.write_text(RATE)
    assert (outputs.refresh(), kind(outputs)) == (True, "regression")
    assert outputs.refresh() is False
    file.write_text(f"# only a comment\n{RATE}")
    assert outputs.refresh() is False
    file.write_text(SCORE)
    assert (outputs.refresh(), kind(outputs)) == (True, "score")
    file.unlink()
    assert (outputs.refresh(), kind(outputs)) == (True, None)


def test_a_file_that_cannot_be_read_leaves_what_it_said(tmp_path: Path) -> None:
    file = tmp_path / "outputs.yaml"
    file.write_text(RATE)
    outputs, registry = declared(tmp_path)
    file.write_text("kind: [")
    assert (outputs.refresh(), kind(outputs)) == (False, "regression")
    assert registry.get_sample_value("closedloop_declarations_invalid") == 1
    file.write_text(SCORE)
    assert (outputs.refresh(), kind(outputs)) == (True, "score")
    assert registry.get_sample_value("closedloop_declarations_invalid") == 0


def test_a_bad_file_costs_no_other_one(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("x: y")
    (tmp_path / "good.yml").write_text(RATE)
    outputs, registry = declared(tmp_path)
    assert kind(outputs) == "regression"
    assert registry.get_sample_value("closedloop_declarations_invalid") == 1


def test_reads_a_folder_as_a_cluster_mounts_it(tmp_path: Path) -> None:
    """Kubernetes keeps the files in a hidden folder and swaps a link to it."""
    for version, text in (("..1", RATE), ("..2", SCORE)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "outputs.yaml").write_text(text)
    data = tmp_path / "..data"
    data.symlink_to("..1")
    (tmp_path / "outputs.yaml").symlink_to("..data/outputs.yaml")
    outputs, _ = declared(tmp_path)
    assert kind(outputs) == "regression"
    swapped = tmp_path / "..tmp"
    swapped.symlink_to("..2")
    swapped.replace(data)
    assert (outputs.refresh(), kind(outputs)) == (True, "score")


def test_other_files_are_none_of_its_business(tmp_path: Path) -> None:
    for name in ("README.md", ".outputs.yaml", "outputs.yaml.bak"):
        (tmp_path / name).write_text("kind: [")
    (tmp_path / "folder").mkdir()
    outputs, registry = declared(tmp_path)
    assert outputs.outputs == Outputs()
    assert registry.get_sample_value("closedloop_declarations_invalid") == 0


def test_files_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RATE)
    (tmp_path / "b.yaml").write_text("seldon/wine/*: {kind: regression}")
    outputs, _ = declared(tmp_path)
    assert outputs.outputs.declared == {
        NAMES: Output("regression"),
        ("seldon", "wine", "*"): Output("regression"),
    }
