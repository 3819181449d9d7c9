"""Layout rules: plug-in modules are registered, folders have a README, modules are short."""

from __future__ import annotations

import pkgutil
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

import pytest

import projections
from domain.events.events import Event
from domain.events.registry import EVENT_CLASSES
from interfaces import wire
from projections.runtime.projection import Projection

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "application", "projections", "interfaces")


def test_the_top_level_packages_are_the_documented_ones() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(PACKAGES)


def test_every_read_model_is_registered() -> None:
    names = set()
    for module in pkgutil.iter_modules(projections.__path__, "projections."):
        namespace = vars(__import__(module.name, fromlist=["_"]))
        names |= {value.name for value in namespace.values() if isinstance(value, Projection)}
    assert names == {projection.name for projection in projections.PROJECTIONS}


def test_every_wire_format_is_registered() -> None:
    modules = {module.name for module in pkgutil.iter_modules(wire.__path__)}
    assert modules - wire.MACHINERY == set(wire.FORMATS)


def test_every_event_is_registered_under_a_topic_of_its_own() -> None:
    def subclasses(cls: type) -> set[type]:
        return {cls} | {
            descendant for sub in cls.__subclasses__() for descendant in subclasses(sub)
        }

    with_topic = {cls for cls in subclasses(Event) if "TOPIC" in vars(cls)}
    assert with_topic == set(EVENT_CLASSES)
    assert len({event.TOPIC for event in EVENT_CLASSES}) == len(EVENT_CLASSES)
    assert all(event.TOPIC.rpartition(".v")[2].isdigit() for event in EVENT_CLASSES)


def test_no_dependency_claims_our_names() -> None:
    """Our packages have plain names; one in site-packages would win over an editable install."""
    owners = packages_distributions()
    for name in PACKAGES:
        assert set(owners.get(name, ())) <= {"foldline"}


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_every_folder_has_a_readme_of_at_most_forty_lines(folder: str) -> None:
    assert len((ROOT / folder / "README.md").read_text().splitlines()) <= 40


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_the_independence_contract_names_every_read_model() -> None:
    """import-linter takes a list of modules; one that is forgotten could import any other."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [contract] = [it for it in settings["contracts"] if it["type"] == "independence"]
    packages = {
        module.name
        for module in pkgutil.iter_modules(projections.__path__, "projections.")
        if any(
            isinstance(value, Projection)
            for value in vars(__import__(module.name, fromlist=["_"])).values()
        )
    }
    assert len(packages) == len(projections.PROJECTIONS)
    assert set(contract["modules"]) == packages


def test_the_median_module_has_at_most_110_lines() -> None:
    lengths = [
        len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    ]
    assert median(lengths) <= 110
