"""Public pages whose names are loaded on first use, so that importing a package stays cheap."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def loader(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a package's `__getattr__` (PEP 562).

    A name must not be that of a submodule: importing the submodule would put it in the name's place. `bind` has no such
    limit.

    Args:
        package: The package's `__name__`.
        homes: Public name → submodule that defines it.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load


def bind(package: str, homes: Mapping[str, str]) -> None:
    """Makes names of a package load on first use, also those that a submodule has as well.

    `package.fit` and `from package import fit` then give what `package/fit.py` defines under that name, whether or not
    the submodule was imported; `from package.fit import other` reaches into the submodule as ever.

    Args:
        package: The package's `__name__`; called while it is being imported.
        homes: Public name → submodule that defines it.
    """
    names = {name: _attribute(package, name, home) for name, home in homes.items()}
    # A property of a module's class goes before its namespace, where importing a submodule puts that.
    sys.modules[package].__class__ = type("Page", (ModuleType,), names)


def _attribute(package: str, name: str, home: str) -> property:
    def get(page: ModuleType) -> Any:
        return getattr(import_module(f"{package}.{home}"), name)

    def put(page: ModuleType, value: object) -> None:
        if value is not sys.modules.get(f"{package}.{name}"):
            raise AttributeError(f"{package}.{name} is defined in {package}.{home}: set it there")

    return property(get, put)
