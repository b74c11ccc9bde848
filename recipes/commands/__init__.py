"""The verbs of the command line, one file each with `EPILOG`, `add_arguments(parser)` and `run(options) -> int`."""

from __future__ import annotations

import importlib
from argparse import ArgumentParser, Namespace
from typing import Protocol, cast

VERBS = {
    "ls": "List models, spaces, targets, recipes and releases",
    "show": "Show one model, space, target, recipe or release",
    "cost": "Price a model on a target: latency, energy, memory",
    "export": "Write a model for ONNX, torch.export, LiteRT or ExecuTorch, and check it",
    "compile": "Compile a trained model in int8 for an accelerator",
    "measure": "Measure random operators, blocks or networks with an oracle",
    "fit": "Make a target from measurements of operators, blocks and networks",
    "calibrate": "Make a target from timings of whole networks",
    "validate": "Judge a target by measurements that it was not fitted on",
    "curate": "Drop from a space what never pays on a target, with the reasons",
    "recipes": "List the recipes, copy one, or validate all that one says",
    "run": "Run a recipe from search to release",
    "watch": "Show how a run stands, while it goes on",
    "front": "Print or export the Pareto front of a run",
    "plot": "Draw a run or a release: its front, how it grew, which knobs matter, its networks",
    "report": "Write one page about a run or a release: a file that needs no network",
    "journal": "Write a run as an Optuna study, for its dashboard",
    "replay": "Make a run again from its lock, and say where it first differs",
    "verify": "Check a release: its files, its history, its price and its score",
    "publish": "Put a release on a hub",
    "pull": "Fetch a release from a hub and verify it",
}
"""Verb → what it does, in the order of the help text."""


class Command(Protocol):
    """What a verb's module holds."""

    EPILOG: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the verb's arguments."""

    def run(self, options: Namespace) -> int:
        """Does it and returns the exit code."""


def load_command(verb: str) -> Command:
    """Imports the module of one verb."""
    return cast(Command, importlib.import_module(f"{__name__}.{verb}"))
