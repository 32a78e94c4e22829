"""ConfigMaps as folders of a Deployment's and a predictor's containers."""

import json
from typing import Any

from closedloop.platforms.embedded.desired import Desired, File
from tests.platforms.embedded.reconcile.objects import (
    Document,
    config_map,
    deployment,
    faults,
    manifest,
    predictor,
    reconcile,
    seldon_deployment,
)


def mounting(
    source: Document | None = None, path: str = "/etc/settings", **container: object
) -> Document:
    """Deployment ns/app, whose container finds ConfigMap ns/c at a path."""
    fields = {"args": [f"--folder={path}"]} | container
    document = deployment(volumeMounts=[{"name": "v", "mountPath": path}], **fields)
    volume = {"name": "v", "configMap": {"name": "c"} | (source or {})}
    document["spec"]["template"]["spec"]["volumes"] = [volume]
    return document


def argv(result: Desired) -> tuple[str, ...]:
    return result.pods[0].processes[0].argv


def only_folder(result: Desired) -> str:
    (folder,) = result.folders
    return folder


def test_the_keys_of_a_config_map_are_files() -> None:
    document = config_map("c", one="1", two="é") | {"binaryData": {"three": "AAE="}}
    result = reconcile(mounting(), document)
    folder = only_folder(result)
    assert folder.startswith("/run/volumes/ns/c-")
    assert result.folders[folder] == {
        "one": File(b"1"),
        "two": File("é".encode()),
        "three": File(b"\x00\x01"),
    }
    assert argv(result)[-1] == f"--folder={folder}"


def test_paths_in_texts_are_those_of_this_machine() -> None:
    env = [
        {"name": "ROOT", "value": "/etc/settings"},
        {"name": "FILE", "value": "/etc/settings/one"},
        {"name": "TWO", "value": "/etc/settings:/etc/settings/"},
        {"name": "URI", "value": "file:///etc/settings/one"},
        {"name": "OTHER", "value": "/etc/settings-2 /etc/settings.bak /srv/etc/settings"},
    ]
    result = reconcile(mounting(env=env, args=["$(ROOT)/one"]), config_map("c"))
    folder = only_folder(result)
    assert result.pods[0].processes[0].env == {
        "ROOT": folder,
        "FILE": f"{folder}/one",
        "TWO": f"{folder}:{folder}/",
        "URI": f"file://{folder}/one",
        "OTHER": "/etc/settings-2 /etc/settings.bak /srv/etc/settings",
    }
    assert argv(result)[-1] == f"{folder}/one"


def test_the_longest_of_two_mount_paths_is_meant() -> None:
    document = mounting(args=["/etc/settings/deep/x", "/etc/settings/x"])
    spec = document["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "w", "configMap": {"name": "d"}})
    spec["containers"][0]["volumeMounts"].append({"name": "w", "mountPath": "/etc/settings/deep/"})
    result = reconcile(document, config_map("c"), config_map("d"))
    deep, flat = argv(result)[-2:]
    assert "/ns/d-" in deep
    assert "/ns/c-" in flat


def test_a_change_of_the_config_map_is_no_change_of_the_pod() -> None:
    before, after = (reconcile(mounting(), config_map("c", x=x)) for x in ("1", "2"))
    assert before.pods == after.pods
    assert before.folders != after.folders
    assert before.folders.keys() == after.folders.keys()


def test_a_change_of_the_volume_is_a_change_of_the_pod() -> None:
    before = reconcile(mounting(), config_map("c"))
    after = reconcile(mounting({"defaultMode": 0o400}), config_map("c"))
    assert before.pods[0].revision != after.pods[0].revision


def test_an_optional_config_map_that_is_not_there_is_an_empty_folder() -> None:
    result = reconcile(mounting({"optional": True}))
    assert list(result.folders.values()) == [{}]
    assert result.pods[0].waits_for == ()


def test_a_pod_waits_for_a_config_map_that_is_not_optional() -> None:
    result = reconcile(mounting())
    assert result.pods[0].waits_for == ("volume v: ConfigMap ns/c not found",)
    # What a pod that runs already reads stays as it is.
    assert result.folders == {}
    assert reconcile(mounting(), config_map("c")).pods[0].revision == result.pods[0].revision


def test_items_are_some_keys_by_other_names() -> None:
    items = [{"key": "one", "path": "a/b"}, {"key": "two", "path": "c", "mode": 0o400}]
    source = {"items": items, "defaultMode": 0o440}
    result = reconcile(mounting(source), config_map("c", one="1", two="2", three="3"))
    assert result.folders[only_folder(result)] == {
        "a/b": File(b"1", 0o440),
        "c": File(b"2", 0o400),
    }


def test_a_key_that_items_name_and_that_is_not_there() -> None:
    items = [{"key": "one", "path": "one"}, {"key": "two", "path": "two"}]
    result = reconcile(mounting({"items": items}), config_map("c", one="1"))
    assert result.pods[0].waits_for == ("volume v: ConfigMap ns/c has no key two",)
    optional = reconcile(mounting({"items": items, "optional": True}), config_map("c", one="1"))
    assert optional.pods[0].waits_for == ()
    assert list(optional.folders.values()) == [{"one": File(b"1")}]


def test_two_who_mount_the_same_share_a_folder_and_others_do_not() -> None:
    other = mounting()
    other["metadata"] = {"name": "other", "namespace": "ns"}
    elsewhere = mounting()
    elsewhere["metadata"] = {"name": "app", "namespace": "elsewhere"}
    there = config_map("c", x="2")
    there["metadata"] = {"name": "c", "namespace": "elsewhere"}
    result = reconcile(mounting(), other, elsewhere, config_map("c", x="1"), there)
    assert sorted(file["x"].content for file in result.folders.values()) == [b"1", b"2"]


def test_a_model_finds_a_config_map_in_its_environment_and_parameters() -> None:
    one = predictor(
        graph={
            "name": "classifier",
            "parameters": [{"name": "file", "value": "/etc/settings/x", "type": "STRING"}],
        }
    )
    spec = one["componentSpecs"][0]["spec"]
    spec["volumes"] = [
        {"name": "v", "configMap": {"name": "c"}},
        {"name": "scratch", "emptyDir": {}},
    ]
    spec["containers"][0] |= {
        "volumeMounts": [
            {"name": "v", "mountPath": "/etc/settings", "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
        "env": [{"name": "FOLDER", "value": "/etc/settings"}],
    }
    result = reconcile(seldon_deployment(one), config_map("c", x="1"))
    model, executor = result.pods[0].processes
    folder = only_folder(result)
    assert model.env["FOLDER"] == folder
    (parameter,) = json.loads(model.env["PREDICTIVE_UNIT_PARAMETERS"])
    assert parameter["value"] == f"{folder}/x"
    assert folder not in str(executor)
    assert reconcile(seldon_deployment(one)).pods[0].waits_for == (
        "volume v: ConfigMap ns/c not found",
    )


def test_scratch_space_is_in_the_folder_of_the_pod() -> None:
    (pod,) = reconcile(manifest("metrics-server/deployment.yaml")).pods
    assert pod.processes[0].env["STATE_FOLDER"] == "{pod_folder}/rows"


def test_what_answers_mean_reaches_both_services() -> None:
    services = [manifest(f"{one}/deployment.yaml") for one in ("request-logger", "metrics-server")]
    result = reconcile(*services, manifest("models/outputs.yaml"))
    found = {pod.processes[0].env["MODEL_OUTPUTS"] for pod in result.pods}
    assert found == {only_folder(result)}
    assert "sklearn.yaml" in result.folders[only_folder(result)]
    assert reconcile(*services).pods == result.pods


def refused(document: Document, *others: Document) -> str:
    (sentence,) = faults(document, *others)
    return sentence.partition(": ")[2].partition(": ")[2]


AT = "spec.template.spec.containers[0].volumeMounts"
VOLUMES = "spec.template.spec.volumes[0]"


def test_a_mount_path_that_nothing_names_is_refused() -> None:
    assert refused(mounting(args=["--folder=/etc/settings-2"]), config_map("c")) == (
        f"{AT} mount /etc/settings, which no env, command or args of the container names:"
        " on one machine the folder is elsewhere, so give it in one of them"
    )


def test_what_is_refused_of_volumes() -> None:
    both = mounting()
    both["spec"]["template"]["spec"]["volumes"][0]["emptyDir"] = {}
    assert refused(both) == f"{VOLUMES} must have either emptyDir or configMap"
    secret = mounting()
    secret["spec"]["template"]["spec"]["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
    assert refused(secret) == f"{VOLUMES}.secret is not supported on one machine: remove it"
    twice = mounting()
    twice["spec"]["template"]["spec"]["volumes"] *= 2
    assert refused(twice) == "spec.template.spec.volumes[1].name is 'v', which another volume has"


def items(*paths: str) -> Document:
    return mounting({"items": [{"key": "k", "path": path} for path in paths]})


def test_paths_of_items_stay_in_the_volume() -> None:
    for path in ("/a", "../a", "a/../b", "", "a//b", "..a"):
        assert refused(items(path)) == (
            f"{VOLUMES}.configMap.items[0].path is {path!r}:"
            " give a path inside the volume, without '..'"
        )
    assert refused(items("a", "a/b")) == (
        f"{VOLUMES}.configMap.items[1].path is 'a/b', where 'a' of another item is in the way"
    )


def mounts(**fields: Any) -> Document:
    document = mounting()
    mount = document["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]
    mount.update(fields)
    return document


def test_what_is_refused_of_mounts() -> None:
    assert refused(mounts(subPath="x")) == (
        f"{AT}[0].subPath is not supported on one machine: remove it"
    )
    for path in ("/", "//", "etc"):
        assert refused(mounts(mountPath=path)) == (
            f"{AT}[0].mountPath is {path!r}: give an absolute path below /"
        )
    twice = mounts()
    twice["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] *= 2
    assert refused(twice) == (
        f"{AT}[1].mountPath is '/etc/settings', where another volume is mounted"
    )


def test_keys_are_names_of_files() -> None:
    for key in ("..", ".", "..x", "a/b", "é", ""):
        document = config_map("c") | {"data": {key: ""}}
        assert "is no key" in refused(document), key
    assert "is not base64" in refused(config_map("c") | {"binaryData": {"x": "é"}})
    assert "is a key of data" in refused(config_map("c", x="") | {"binaryData": {"x": ""}})
