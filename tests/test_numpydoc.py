"""Docstrings of what users and authors of plug-ins import are in numpydoc form, as numpydoc's own validator sees it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import FunctionType
from typing import Any

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

import ulna

PLUGINS = (
    "dataset",
    "figures.augmented",
    "figures.common",
    "figures.contact",
    "figures.curves",
    "figures.results",
    "figures.samples",
    "formats",
    "formats.base",
    "image",
    "inference.engines",
    "inference.engines.base",
    "inference.engines.choose",
    "networks.graph",
    "inference.inputs",
    "inference.pipeline",
    "inference.tiles",
    "layouts.build",
    "layouts.listing",
    "layouts.reading",
    "metrics",
    "networks",
    "networks.geometry",
    "networks.losses",
    "tasks",
    "tasks.base",
    "synthetic",
    "text",
    "truth",
)
"""What a new format, layout, task, loss, network, measure, figure or engine imports."""

RECORDS = (
    "jobs.check.Check",
    "jobs.demo.Demo",
    "jobs.evaluation.Evaluation",
    "jobs.export.Exported",
    "jobs.predict.Predicted",
    "jobs.settings.Settings",
    "jobs.split.Split",
    "jobs.trained.Trained",
)
"""What the verbs return."""

CHECKED = {
    "GL06": "a section of an unknown name",
    "GL07": "sections in another order",
    "GL08": "no docstring",
    "PR01": "a parameter that is not named",
    "PR02": "a name that is no parameter",
    "PR03": "parameters in another order",
    "PR05": "a full stop after a type",
    "PR07": "a parameter without a description",
    "RT01": "no Returns section",
    "RT03": "a return value without a description",
    "SS01": "no summary",
    "SS03": "a summary that does not end with a full stop",
    "YD01": "no Yields section",
}
"""The rules that are held, by the validator's codes. Types are not asked for: annotations have them."""

SAID_BY_PROTOCOL = ("TorchEngine", "OpenVinoEngine", "OnnxEngine", "Semantic", "Instances", "NestedRegions")
"""Classes whose methods are those of a protocol, which documents them."""


def public() -> dict[str, Any]:
    """What is public by its dotted name, methods of classes among it."""
    found = {
        f"{value.__module__}.{name}": value for name, value in ((one, getattr(ulna, one)) for one in ulna._MODULES)
    }
    for record in RECORDS:
        module, _, name = record.rpartition(".")
        found[f"ulna.{record}"] = getattr(import_module(f"ulna.{module}"), name)
    for module in (import_module(f"ulna.{name}") for name in PLUGINS):
        for name, value in vars(module).items():
            of_ulna = getattr(value, "__module__", "").startswith("ulna.") and isinstance(value, type | FunctionType)
            here = name in getattr(module, "__all__", ()) or (of_ulna and value.__module__ == module.__name__)
            if of_ulna and here and not name.startswith("_"):
                found[f"{value.__module__}.{name}"] = value
    return found | {name: method for key, value in found.items() for name, method in methods(key, value)}


def methods(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isclass(value) or value.__name__ in SAID_BY_PROTOCOL:
        return
    own = {field.name for field in fields(value)} if is_dataclass(value) else set()
    for key, method in vars(value).items():
        if key in own:  # a function as the default of a field
            continue
        if not key.startswith("_") and (inspect.isfunction(method) or isinstance(method, classmethod | staticmethod)):
            yield f"{name}.{key}", getattr(value, key)


PUBLIC = public()
every_name = pytest.mark.parametrize("name", list(PUBLIC))


@every_name
def test_docstring_is_numpydoc(name: str) -> None:
    wrong = {code: what for code, what in validate(name)["errors"] if code in CHECKED}
    if getattr(PUBLIC[name], "_is_protocol", False):  # has no constructor whose parameters could be named
        wrong.pop("PR01", None)
    assert not wrong


def raised_by(value: Any) -> set[str]:
    """The errors that the body of a function, or of the constructor of a class, raises, by name."""
    bodies = [value]
    if inspect.isclass(value):
        bodies = [vars(value)[key] for key in ("__init__", "__post_init__") if key in vars(value)]
        bodies = [body for body in bodies if body.__module__.startswith("ulna.")]
        bodies = [body for body in bodies if not (is_dataclass(value) and body.__name__ == "__init__")]
    trees = [ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(body)))) for body in bodies]
    nodes = [node.exc for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = {exc.func.id for exc in nodes if isinstance(exc, ast.Call) and isinstance(exc.func, ast.Name)}
    return {name for name in names if name.endswith("Error")}


@every_name
def test_what_is_raised_is_said(name: str) -> None:
    docstring = get_doc_object(PUBLIC[name])
    assert raised_by(PUBLIC[name]) <= {error.type for error in docstring["Raises"]}
    assert not re.search(r"[Rr]aises? \w*Error", " ".join([*docstring["Summary"], *docstring["Extended Summary"]]))


def test_the_public_names_are_found() -> None:
    assert {"ulna.model.Model.predict", "ulna.jobs.check.check", "ulna.formats.base.Reader.read"} <= PUBLIC.keys()
    assert raised_by(PUBLIC["ulna.model.Model.save"]) == {"UlnaError"}
    assert raised_by(PUBLIC["ulna.image.Labels"]) == {"UlnaError"}
