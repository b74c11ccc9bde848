"""Real networks that no shipped target was fitted on: the judges of every estimator.

    python benchmarks/held_out_networks.py FILE

writes them, one JSON object a line (`name`, `family`, `graph`), so that they can be measured without torch. They are
EfficientNet-EdgeTPU, MobileNetV2, V3 and V4 and ResNets as timm defines them, imported without weights, and the
MobileDet backbones. A network is named after its model, an `@` and the side of its square input.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from accelzoo.hwmodel import Graph
from accelzoo.hwmodel.measurement import graph_digest
from accelzoo.importer import from_module, opaque_operators

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import mobiledet

# Model and the sides of its input. timm's `_pruned` models have the operators of the models that they were made from.
TIMM = {
    "efficientnet_edgetpu": {
        "efficientnet_es": (192, 224, 256),
        "efficientnet_em": (224, 240, 288),
        "efficientnet_el": (224, 300),
    },
    "mobilenetv2": {
        "mobilenetv2_035": (96, 224),
        "mobilenetv2_050": (128, 224),
        "mobilenetv2_075": (192,),
        "mobilenetv2_100": (96, 160, 224),
        "mobilenetv2_110d": (224,),
        "mobilenetv2_120d": (224,),
        "mobilenetv2_140": (160, 224),
    },
    "mobilenetv3": {
        "mobilenetv3_large_075": (192,),
        "mobilenetv3_large_100": (160, 224),
        "mobilenetv3_small_050": (224,),
        "mobilenetv3_small_075": (160,),
        "mobilenetv3_small_100": (128, 224),
        "mobilenetv3_rw": (224,),
        "mobilenetv3_large_150d": (224,),
        "tf_mobilenetv3_large_minimal_100": (128, 224),
        "tf_mobilenetv3_small_minimal_100": (224,),
    },
    "mobilenetv4": {
        "mobilenetv4_conv_small_035": (224,),
        "mobilenetv4_conv_small_050": (224,),
        "mobilenetv4_conv_small": (160, 224, 256),
        "mobilenetv4_conv_medium": (224, 256),
        "mobilenetv4_conv_large": (256, 384),
    },
    "resnet": {
        "resnet10t": (128, 176),
        "resnet14t": (176, 224),
        "resnet18": (128, 224),
        "resnet26": (160, 224),
        "resnet34": (160, 224),
        "resnet50": (128, 224),
    },
}
MOBILEDET_PIXELS = (224, 320)


def held_out_networks() -> list[tuple[str, str, Graph]]:
    """Returns name, family and graph of every network, all of them different; needs torch and timm."""
    found = [
        (f"{model}@{pixels}", family, _imported(model, pixels))
        for family, models in TIMM.items()
        for model, sides in models.items()
        for pixels in sides
    ]
    found += [
        (f"mobiledet_{name}@{pixels}", "mobiledet", mobiledet.backbone(name, pixels))
        for name in mobiledet.BACKBONES
        for pixels in MOBILEDET_PIXELS
    ]
    names: dict[str, str] = {}
    for name, _, graph in found:
        if (other := names.setdefault(graph_digest(graph), name)) != name:
            raise AssertionError(f"{name} and {other} are the same graph")
    return found


def _imported(model: str, pixels: int) -> Graph:
    import timm
    import torch

    with torch.device("meta"):
        module = timm.create_model(model)
    graph = from_module(module, (3, pixels, pixels))
    if unmapped := opaque_operators(graph):
        raise AssertionError(f"{model}@{pixels} runs what no target can price: {unmapped}")
    return graph


def main() -> None:
    """Writes the networks to the file that is named on the command line, which must not be there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    networks = held_out_networks()
    with path.open("x", encoding="utf-8") as file:
        for name, family, graph in networks:
            file.write(json.dumps({"name": name, "family": family, "graph": graph.to_json()}) + "\n")
    for family in dict.fromkeys(family for _, family, _ in networks):
        print(f"{sum(other == family for _, other, _ in networks):3d} {family}")


if __name__ == "__main__":
    main()
