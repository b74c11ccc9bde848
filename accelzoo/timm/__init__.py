"""accelzoo's networks inside timm: importing this package makes them known to `timm.create_model`.

>>> import timm, accelzoo.timm
>>> model = timm.create_model("accelzoo_mobilenetv2_100", features_only=True)

Every classification network of `accelzoo.list_models` is there as `accelzoo_<name>`. `accelzoo_arch` builds any other
architecture from its config; releases name it in their config.json, which is how
`timm.create_model("local-dir:FOLDER", pretrained=True)` and `"hf-hub:OWNER/NAME"` load them.
"""

from __future__ import annotations

from accelzoo.release_config import TIMM_ENTRY as ANY_ARCH
from accelzoo.timm.accelzoo_models import PREFIX, register

__all__ = ["ANY_ARCH", "PREFIX", "register"]

register()
