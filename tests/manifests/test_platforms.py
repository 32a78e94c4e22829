"""The same files feed both platforms; what only one of them uses says why in its first line."""

from closedloop.manifests import in_apply_order, load
from closedloop.suite.setup import STEPS
from tests.manifests.repository import (
    CLUSTER_ONLY,
    MANIFESTS,
    first_line,
    objects,
    on_both_platforms,
    on_clusters_only,
)


def test_what_only_a_cluster_uses_says_why() -> None:
    for one in on_clusters_only():
        reason = first_line(one).removeprefix(CLUSTER_ONLY)
        assert len(reason.split()) >= 5, one.source


def test_nothing_that_only_a_cluster_uses_is_applied_on_both() -> None:
    everywhere = {
        one.source
        for step in STEPS
        for one in (load(MANIFESTS, *step.manifests) if step.manifests else ())
    }
    assert not everywhere & {one.source for one in on_clusters_only()}


def test_everything_of_both_platforms_is_applied_by_a_step_or_a_notebook() -> None:
    said = "".join(path.read_text() for path in (MANIFESTS.parent / "notebooks").glob("*.ipynb"))
    applied = {path for step in STEPS for path in step.manifests}
    for one in on_both_platforms():
        path = one.source.removeprefix("manifests/")
        folder = path.partition("/")[0]
        assert {path, folder} & applied or f'\\"{path}\\"' in said or f'\\"{folder}\\"' in said, (
            path
        )


def test_what_answers_mean_is_applied_before_those_who_read_it() -> None:
    (together,) = (step.manifests for step in STEPS if "request-logger" in step.manifests)
    applied = [one.key for one in in_apply_order(load(MANIFESTS, *together))]
    before = applied.index("ConfigMap/seldon-logs/model-outputs")
    assert before < applied.index("Deployment/seldon-logs/seldon-request-logger")


def test_every_file_describes_one_object_and_no_object_is_described_twice() -> None:
    sources = [one.source for one in objects()]
    assert len(set(sources)) == len(sources)
    shadow = "manifests/models/iris-perf-shadow.yaml"  # iris-perf.yaml with a challenger
    in_apply_order([one for one in objects() if one.source != shadow])


def test_objects_of_a_folder_are_in_the_namespace_of_their_part() -> None:
    for one in objects():
        if one.source.split("/")[1] in ("request-logger", "metrics-server", "alert-logger"):
            assert one.namespace == "seldon-logs"
        if one.source == "manifests/models/outputs.yaml":  # for those who read it
            assert one.namespace == "seldon-logs"
        elif one.source.startswith("manifests/models/"):
            assert one.namespace == "seldon"
