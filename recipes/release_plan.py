"""What a recipe's release is called, and under which terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """What the release is called and under which terms.

    Args:
        name: The model's name.
        license: Licence of the weights, as an SPDX identifier or a sentence.
        dataset_name: The training data as a reader should see them.
        citation: Who made the data.
    """

    name: str
    license: str = "apache-2.0"
    dataset_name: str
    citation: str = ""
