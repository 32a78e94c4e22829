import pytest

from bench import engines


@pytest.mark.nightly
def test_every_engine_is_measured_and_keeps_what_it_committed_when_it_is_killed() -> None:
    measured = engines.run(rows=5000, changes=500)
    for name in engines.ENGINES:
        assert measured[f"{name}_agrees_after_kill"]
        assert measured[f"{name}_reads_per_second"] > 0
