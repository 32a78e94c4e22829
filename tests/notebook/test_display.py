from dataclasses import dataclass

import pytest

from closedloop.notebook.display import as_yaml, show, source, table
from closedloop.paths import checkout_root


@dataclass
class Part:
    name: str
    share: float


def test_a_manifest_is_shown_as_it_is_and_highlighted() -> None:
    shown = show("istio/gateway.yaml")
    assert "  name: seldon-gateway\n" in repr(shown)
    assert '<span class="nt">name</span>' in shown._repr_html_()


def test_a_module_is_shown_as_python() -> None:
    shown = source("notebook/display.py")
    assert repr(shown).startswith('"""Manifests, sources')
    assert '<span class="kn">import</span>' in shown._repr_html_()


def test_a_part_of_a_file_is_shown_with_a_link_to_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(checkout_root() / "notebooks")
    shown = show("istio/gateway.yaml", "spec/selector")
    assert repr(shown).splitlines()[0] == "selector:"
    assert "href='../manifests/istio/gateway.yaml'" in shown._repr_html_()
    shown = source("notebook/display.py", "Live.update")
    assert repr(shown).startswith("def update(self)")
    assert "href='../src/closedloop/notebook/display.py'" in shown._repr_html_()


def test_a_document_is_shown_with_short_lists_in_a_line() -> None:
    assert repr(as_yaml({"b": [1, 2], "a": {"c": "é"}})) == "b: [1, 2]\na: {c: é}\n"


def test_dataclasses_name_their_columns() -> None:
    shown = table([Part("a", 0.5)]).data
    assert ">name</th>" in shown
    assert ">0.500</td>" in shown


def test_rows_may_have_named_columns() -> None:
    assert ">heading</th>" in table([["value"]], ["heading"]).data


def test_mappings_name_their_columns_too() -> None:
    shown = table([{"a": 1, "b": 2}]).data
    assert ">b</th>" in shown
    assert ">2</td>" in shown


def test_what_a_cell_says_is_no_markup() -> None:
    assert "&lt;script&gt;" in table([["<script>"]], ["x"]).data


def test_nothing_is_an_empty_table() -> None:
    assert "<tbody></tbody>" in table([]).data
