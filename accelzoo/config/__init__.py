"""The strict reader: YAML, JSON or plain mappings in, frozen dataclasses out, every fault reported with its place.

Values go the other way by `to_config`, `dump_yaml` and `canonical_json`; `digest` names one by its content.

A dataclass may declare, beside its fields:

- `kind: ClassVar[str]`: its tag. A field of type `A | B` reads the class whose `kind` the mapping's key `kind` names.
- `config_variants()`, a classmethod on a base class: the open form of such a union, from kind to dataclass. A field
  of that base type reads whichever dataclass is registered when the reading takes place.
- `inline: ClassVar[str]`: the name of a dataclass field whose keys stand flat among this dataclass's own keys.

A ValueError or AccelzooError that `__post_init__` raises becomes a fault at the mapping that it was read from.
"""

from accelzoo.config._read import Node, Source, Text, load, merge, read
from accelzoo.config._write import canonical_json, digest, dump_yaml, to_config

__all__ = [
    "Node",
    "Source",
    "Text",
    "canonical_json",
    "digest",
    "dump_yaml",
    "load",
    "merge",
    "read",
    "to_config",
]
