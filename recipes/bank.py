"""The recipe's data at every input size that the run asks for."""

from __future__ import annotations

from dataclasses import replace

from accelzoo.arch import Arch
from accelzoo.tasks.data import ClassificationData, SearchView
from accelzoo.tasks.load import load_classification


class DataBank:
    """Loads a data source once per input size.

    Args:
        source: The data source.
        channels: Image channels that the networks take.
    """

    def __init__(self, source: str, channels: int = 3) -> None:
        self.source = source
        self.channels = channels
        self._loaded: dict[tuple[int, int, int], ClassificationData] = {}

    def __reduce__(self) -> tuple[type[DataBank], tuple[str, int]]:
        """Travels to worker processes as a name; each of them loads what it needs."""
        return DataBank, (self.source, self.channels)

    def at(self, size: tuple[int, int, int]) -> ClassificationData:
        """The data set at `size` = `(channels, height, width)`."""
        if size not in self._loaded:
            self._loaded[size] = load_classification(self.source, size)
        return self._loaded[size]

    def of(self, arch: Arch) -> ClassificationData:
        """The data set at the architecture's input size."""
        return self.at(arch.input_size)

    def glimpse(self, arch: Arch, validation_images: int) -> SearchView:
        """What a search may see: no test split, and only so many validation images."""
        view = self.of(arch).search_view()
        return replace(view, validation=view.validation.subset(validation_images, seed=0))
