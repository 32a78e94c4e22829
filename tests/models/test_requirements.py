import re
import tomllib

from closedloop.paths import checkout_root

_PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)


def _pins(name: str) -> dict[str, str]:
    return dict(_PIN.findall((checkout_root() / "docker" / name).read_text()))


def test_the_lock_has_what_was_asked_for_and_pins_all_of_it() -> None:
    asked = _pins("model/requirements.in") | _pins("iris/requirements.in")
    locked = _pins("iris/requirements.txt")
    assert len(asked) == 4
    assert asked.items() <= locked.items()
    lines = (checkout_root() / "docker" / "iris" / "requirements.txt").read_text().splitlines()
    named = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert len(named) == len(locked)


def test_models_are_trained_and_served_by_the_same_scikit_learn() -> None:
    project = tomllib.loads((checkout_root() / "pyproject.toml").read_text())["project"]
    asked = f"scikit-learn=={_pins('iris/requirements.txt')['scikit-learn']}"
    assert asked in project["dependencies"]


def test_the_services_image_has_a_part_of_the_dependencies() -> None:
    project = tomllib.loads((checkout_root() / "pyproject.toml").read_text())
    services = set(project["dependency-groups"]["services"])
    assert services < set(project["project"]["dependencies"])
