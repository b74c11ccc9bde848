"""Runs a module on the meta device, where tensors have shapes but no numbers, and records torch's operator calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from accelzoo.errors import AccelzooError
from accelzoo.hwmodel.ir import Shape

WHOLE_FUNCTIONS = {
    nn.functional.scaled_dot_product_attention: "scaled_dot_product_attention",
    nn.functional.rms_norm: "rms_norm",
    torch.rms_norm: "rms_norm",
    torch.lstm: "lstm",
    torch.gru: "gru",
}
"""Functions recorded as one call, because what torch splits them into differs between devices and versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operator call: its name without overload, its arguments by name, what came out and which module made it."""

    name: str
    arguments: Mapping[str, Any]
    result: Any
    path: str
    in_place: bool = False


@dataclass(slots=True, kw_only=True)
class Recording:
    """Everything a run of a module called, in order; holds its tensors, so that their identities stay apart."""

    image: torch.Tensor
    calls: list[Call] = field(default_factory=list)
    output: Any = None


def record(module: nn.Module, input_shape: Shape) -> Recording:
    """Runs `module` in evaluation mode on one image `(1, channels, height, width)` of no numbers.

    The module keeps its weights, their devices and its modes; its forward pass sees meta tensors.

    Raises:
        AccelzooError: If its forward pass fails; the message says in which module.
    """
    dtypes = [parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()]
    image = torch.empty((1, *input_shape), device="meta", dtype=dtypes[0] if dtypes else torch.float32)
    recorder = _Recorder(module, Recording(image=image))
    with _evaluating(module), recorder.following_modules(), torch.no_grad():
        try:
            with _WholeFunctions(recorder), recorder:
                recorder.recording.output = module(image)
        except Exception as error:  # the module is anybody's code
            at = f", in its module {recorder.path!r}" if recorder.path else ""
            given = "x".join(map(str, input_shape))
            message = f"{type(module).__name__} does not run on an input of {given}{at}: {error}"
            raise AccelzooError(message) from error
    return recorder.recording


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [child for child in module.modules() if child.training]
    try:
        for child in training:
            child.training = False
        yield
    finally:
        for child in training:
            child.training = True


class _Recorder(TorchDispatchMode):
    """Records calls, and runs every one on the meta device."""

    def __init__(self, root: nn.Module, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.recording_calls = True
        self._paths = {id(child): path for path, child in root.named_modules()}
        self._stack = [""]
        self._weights = {id(tensor) for tensor in (*root.parameters(), *root.buffers())}
        self._twins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def path(self) -> str:
        """Path of the module that runs."""
        return self._stack[-1]

    @contextmanager
    def following_modules(self) -> Iterator[None]:
        """Keeps `path` up to date, by hooks on all modules rather than on these, which stay as they are."""

        def enter(module: nn.Module, inputs: Any) -> None:
            self._stack.append(self._paths.get(id(module), self.path))

        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            self._stack.pop()

        handles = register_module_forward_pre_hook(enter), register_module_forward_hook(leave)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = dict(zip([item.name for item in func._schema.arguments], args, strict=False)) | (kwargs or {})
        tensors: list[torch.Tensor] = []
        tree_map_only(torch.Tensor, tensors.append, arguments)
        if all(tensor.device.type != "meta" and id(tensor) not in self._weights for tensor in tensors):
            result = func(*args, **(kwargs or {}))  # about constants only, whose values a module may look at
        else:
            twins = tree_map_only(torch.Tensor, self._on_meta, (args, kwargs or {}))
            if "device" in twins[1]:
                twins[1]["device"] = torch.device("meta")
            result = func(*twins[0], **twins[1])
        in_place = any(item.alias_info is not None and item.alias_info.is_write for item in func._schema.arguments)
        if in_place and func._schema.returns:
            result = next(iter(arguments.values())) if isinstance(result, torch.Tensor) else result
        self.add(func.overloadpacket.__name__, arguments, result, in_place)
        return result

    def add(self, name: str, arguments: Mapping[str, Any], result: Any, in_place: bool = False) -> None:
        """Records a call, unless it belongs to one that is recorded as a whole."""
        if self.recording_calls:
            call = Call(name=name, arguments=arguments, result=result, path=self.path, in_place=in_place)
            self.recording.calls.append(call)

    def _on_meta(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type == "meta":
            return tensor
        if id(tensor) not in self._twins:
            twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
            self._twins[id(tensor)] = tensor, twin
        return self._twins[id(tensor)][1]


class _WholeFunctions(TorchFunctionMode):
    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = WHOLE_FUNCTIONS.get(func) if self._recorder.recording_calls else None
        if name is None:
            return func(*args, **kwargs)
        self._recorder.recording_calls = False
        try:
            result = func(*args, **kwargs)
        finally:
            self._recorder.recording_calls = True
        names = ("query", "key", "value", "attn_mask") if name.startswith("scaled") else ("input",)
        self._recorder.add(name, dict(zip(names, args, strict=False)) | kwargs, result)
        return result
