"""A network of the space on its own: an ordinary architecture with ordinary weights."""

from __future__ import annotations

from torch import Tensor, nn

from accelzoo.arch import Arch
from accelzoo.search.space import Genome
from accelzoo.search.width.slimmable._sites import shapes_of, skeleton, sliced
from accelzoo.search.width.slimmable.net import SlimmableNet


def extract_subnet(net: SlimmableNet, genome: Genome) -> tuple[Arch, dict[str, Tensor]]:
    """Cuts a network out of a slimmable one.

    Running statistics are cut like weights, and are those of a mixture of networks if the slimmable one was trained:
    `recalibrate` the network, or train it on, before it is used.

    Args:
        net: Holds the weights.
        genome: Which network.

    Returns:
        The architecture, and tensors of their own that `arch.build().load_state_dict` takes with `strict=True`.

    Raises:
        ShapeError: If the genome does not fit the space.
    """
    arch = net.space.decode(genome).normal()
    whole = net.network.state_dict()
    return arch, {
        name: sliced(whole[name], shape).clone().contiguous() for name, shape in shapes_of(skeleton(arch)).items()
    }


def build_subnet(net: SlimmableNet, genome: Genome) -> nn.Module:
    """Builds what `extract_subnet` returns, in eval mode on the device of `net`."""
    arch, state = extract_subnet(net, genome)
    network = skeleton(arch).to_empty(device=next(iter(state.values())).device)
    network.load_state_dict(state, strict=True)
    return network.eval()
