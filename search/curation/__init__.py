"""Curation: a space without the choices that never pay on one target, with the reasons and what it cost to drop them.

`curate(space, "ethos-u55-256", pins={"stages[0].kind": "ibn"})` is a space again, that any search takes; its `report`
says what is gone, knob by knob.
"""

from __future__ import annotations

from accelzoo.search.curation._curate import curate
from accelzoo.search.curation.certificate import Certificate
from accelzoo.search.curation.report import Removal, Report
from accelzoo.search.curation.ruggedness import Ruggedness, ruggedness
from accelzoo.search.curation.space import CuratedSpace

__all__ = [  # noqa: RUF022 (the order of the page: what one calls first comes first)
    "curate",
    "CuratedSpace",
    "Report",
    "Removal",
    "Certificate",
    "Ruggedness",
    "ruggedness",
]
