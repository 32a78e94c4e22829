from pathlib import Path

import pytest

from closedloop.manifests import (
    Manifest,
    ManifestError,
    in_apply_order,
    load,
    load_values,
    yaml_documents,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    return folder


def document(kind: str, name: str, namespace: str = "ns") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
    }


def fault(root: Path, text: str) -> str:
    (root / "x.yaml").write_text(text)
    with pytest.raises(ManifestError) as caught:
        load(root, "x.yaml")
    (sentence,) = caught.value.sentences
    return sentence


def test_a_file_may_hold_several_documents_and_lists(root: Path) -> None:
    (root / "x.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n"
    )
    assert [(one.source, one.key) for one in load(root, "x.yaml")] == [
        ("manifests/x.yaml", "Service/default/a"),
        ("manifests/x.yaml", "ConfigMap/default/b"),
    ]


def test_a_folder_is_every_manifest_below_it_but_no_values(root: Path) -> None:
    (root / "part" / "deeper").mkdir(parents=True)
    for name in ("part/b.yaml", "part/deeper/a.yml"):
        (root / name).write_text("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n")
    for name in ("part/values.yaml", "part/values-extra.yaml", "part/notes.txt"):
        (root / name).write_text("just: values\n")
    assert [one.source for one in load(root, "part")] == [
        "manifests/part/b.yaml",
        "manifests/part/deeper/a.yml",
    ]


def test_documents_are_taken_as_they_are(root: Path) -> None:
    assert load(root, document("Service", "a")) == [
        Manifest("the object given", document("Service", "a"))
    ]


def test_titles_and_keys_of_kinds_without_namespace(root: Path) -> None:
    (one,) = load(root, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "seldon"}})
    assert (one.title, one.key) == ("Namespace seldon", "Namespace/seldon")


def test_dates_stay_text(root: Path) -> None:
    (root / "x.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2026-01-31}\n"
    )
    (one,) = load(root, "x.yaml")
    assert one.document["data"] == {"day": "2026-01-31"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: Service", "manifests/x.yaml: an object has no apiVersion: add it"),
        ("apiVersion: v1", "manifests/x.yaml: an object has no kind: add it"),
        (
            "apiVersion: v1\nkind: Service",
            "manifests/x.yaml: a Service has no metadata.name: add it",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: 3}",
            "manifests/x.yaml: a Service has no metadata.name: add it",
        ),
        ("- 1", "manifests/x.yaml: a document is a list: it must be an object"),
        ("", "manifests/x.yaml: the file holds no object"),
        (
            "apiVersion: v1\nkind: List",
            "manifests/x.yaml: the List has no items: add them",
        ),
        (
            "a: [",
            "manifests/x.yaml: not YAML: line 2, column 1: did not find expected node content",
        ),
        (
            "a: 1\nb: {c: 2, c: 3}",
            "manifests/x.yaml: not YAML: line 2, column 11: the key c appears twice",
        ),
    ],
)
def test_faults_are_one_sentence_that_names_the_file(root: Path, text: str, sentence: str) -> None:
    assert fault(root, text) == sentence


def test_text_that_is_not_utf_8(root: Path) -> None:
    (root / "x.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ManifestError, match=r"manifests/x\.yaml: not UTF-8 text"):
        load(root, "x.yaml")


def test_every_source_at_fault_is_reported(root: Path) -> None:
    (root / "empty").mkdir()
    with pytest.raises(ManifestError) as caught:
        load(root, "nowhere.yaml", "empty", {"kind": "Service"})
    assert caught.value.sentences == (
        f"manifests/nowhere.yaml: there is no such manifest: name a file or folder in {root}",
        "manifests/empty: the folder holds no manifest",
        "the object given: an object has no apiVersion: add it",
    )


def test_order_of_apply_puts_what_is_referred_to_first(root: Path) -> None:
    kinds = ["SeldonDeployment", "Trigger", "Odd", "Deployment", "Service", "ConfigMap", "Broker"]
    manifests = load(root, *(document(kind, "a") for kind in kinds))
    assert [one.kind for one in in_apply_order(manifests)] == [
        "ConfigMap",
        "Service",
        "Deployment",
        "Odd",
        "Broker",
        "Trigger",
        "SeldonDeployment",
    ]


def test_the_same_object_twice_is_refused() -> None:
    manifests = [
        Manifest("a.yaml", document("Service", "s")),
        Manifest("b.yaml", document("Service", "s")),
    ]
    with pytest.raises(ManifestError) as caught:
        in_apply_order(manifests)
    assert caught.value.sentences == (
        "b.yaml: Service ns/s is already described by a.yaml: apply one of them",
    )


def test_values_are_one_mapping(root: Path) -> None:
    (root / "values.yaml").write_text("a: {b: 1}\n")
    assert load_values(root / "values.yaml") == {"a": {"b": 1}}
    (root / "values.yaml").write_text("- 1\n")
    with pytest.raises(ManifestError, match="must hold one YAML mapping"):
        load_values(root / "values.yaml")


def test_a_plain_equals_sign_is_text_as_in_the_definitions_of_prometheus_operator() -> None:
    text = "enum: ['!=', =, =~, !!str =]\n---\n---\nsince: 2026-01-02"
    assert yaml_documents(text) == [{"enum": ["!=", "=", "=~", "="]}, {"since": "2026-01-02"}]


def test_what_others_wrote_may_name_a_key_twice() -> None:
    assert yaml_documents("a: 1\na: 2") == [{"a": 2}]
