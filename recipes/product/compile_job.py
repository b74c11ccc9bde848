"""Compiling a trained network, in int8, by the target's own compiler: the referee whose latencies count."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from accelzoo.errors import UnknownNameError
from accelzoo.hwmodel import load_target
from accelzoo.hwmodel.oracles import MissingToolError, OracleError
from accelzoo.recipes.product.job_context import ProductContext
from accelzoo.recipes.product.jobs import TrainJob, load_trained, short_digest
from accelzoo.recipes.product.values import Referee


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileJob:
    """Compiles a network that a finished job trained.

    Its result: `compiled` (the fields of a `Referee`, None where it cannot be compiled, with `why_not`), and `wall_s`.

    Args:
        job: The training.
        target: The target's name or file.
    """

    job: TrainJob
    target: str

    @property
    def name(self) -> str:
        """`compile-0123456789ab-seed0`: the network's digest begins like that."""
        return f"compile-{short_digest(self.job.arch)}-seed{self.job.seed}"

    def digest(self, context: ProductContext) -> str:
        """`sha256:…` of weights, ranges of activations and target."""
        trained = context.result_of(self.job.name)
        target = load_target(self.target).digest()
        facts = {"weights": trained["weights"], "calibration": trained["calibration"], "target": target}
        return context.digest("compile", {"arch": self.job.arch.digest(), **facts})

    def checkpoints(self, context: ProductContext) -> None:
        """There are none: it takes seconds."""

    def forget_refusal(self, context: ProductContext) -> None:
        """Removes the record of an attempt that failed: the compiler may have been installed since."""
        recorded = context.recorded(self.name)
        if recorded is not None and recorded["result"].get("compiled") is None:
            context.record_path(self.name).unlink()

    def run(self, context: ProductContext, progress: bool | None) -> dict[str, Any]:
        """Quantises as in training, and compiles."""
        from accelzoo.compile import compile_network
        from accelzoo.quantization import Calibration, quantize

        started = time.perf_counter()
        calibration = Calibration.from_json(context.result_of(self.job.name)["calibration"])
        network = quantize(load_trained(context, self.job), calibration=calibration)
        compiled, why_not = None, ""
        try:
            report = compile_network(network, self.target)
            memory = report.peak_activation_bytes
            compiled = asdict(Referee(tool=report.tool, latency_s=report.latency_s, sram_bytes=memory))
        except (MissingToolError, OracleError, UnknownNameError) as error:
            why_not = str(error)
        # A refusal is asked for again by every resumed run, whose report must not change by that.
        wall_s = 0.0 if compiled is None else time.perf_counter() - started
        return {"compiled": compiled, "why_not": why_not, "wall_s": wall_s}

    def describe(self, result: Mapping[str, Any]) -> str:
        """Says what the compiler says."""
        found = result["compiled"]
        said = f"{found['latency_s'] * 1e3:,.4g} ms by {found['tool']}" if found else result["why_not"]
        return f"compiled {self.job.name}: {said}"
