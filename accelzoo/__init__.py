"""accelzoo: a model zoo of accelerator-aware neural architectures with a search backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelzoo import lazy

if TYPE_CHECKING:
    from accelzoo.arch import Arch
    from accelzoo.errors import AccelzooError
    from accelzoo.export import export_onnx, export_program
    from accelzoo.hub import open_hub
    from accelzoo.hubs.available import list_releases
    from accelzoo.hwmodel import Cost, Graph, Target, list_targets, load_target
    from accelzoo.importer import from_module
    from accelzoo.knobs import Choice, Space
    from accelzoo.pricing import estimate
    from accelzoo.registry import create_model, get_arch, get_space, list_models, list_spaces

__version__ = "0.1.0"

# Resolved on first use: `import accelzoo` loads neither torch nor the registry.
_HOMES = {
    "AccelzooError": "errors",
    "Arch": "arch",
    "Choice": "knobs",
    "Cost": "hwmodel",
    "Graph": "hwmodel",
    "Space": "knobs",
    "Target": "hwmodel",
    "create_model": "registry",
    "estimate": "pricing",
    "export_onnx": "export",
    "export_program": "export",
    "from_module": "importer",
    "get_arch": "registry",
    "get_space": "registry",
    "list_models": "registry",
    "list_releases": "hubs.available",
    "list_spaces": "registry",
    "list_targets": "hwmodel",
    "load_target": "hwmodel",
    "open_hub": "hub",
}
__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "list_models",
    "create_model",
    "get_arch",
    "Arch",
    "list_spaces",
    "get_space",
    "Space",
    "Choice",
    "list_targets",
    "load_target",
    "Target",
    "estimate",
    "from_module",
    "export_onnx",
    "export_program",
    "Cost",
    "Graph",
    "list_releases",
    "open_hub",
    "AccelzooError",
]


__getattr__ = lazy.loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
