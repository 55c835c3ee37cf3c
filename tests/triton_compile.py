"""Compiles Triton kernels for GPUs that are not there, which finds errors of type and shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from tests.conftest import ROOT

__all__ = ["assert_kernels_compile"]

COMPILE = """
import importlib
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
module = importlib.import_module({module!r})
for name in {kernels!r}:
    kernel = getattr(module, name)
    signature = {{argument: {kinds!r}.get(argument, "i32") for argument in kernel.arg_names}}
    signature.update(dict.fromkeys({constants!r}, "constexpr"))
    for capability in (80, 90):
        made = triton.compile(ASTSource(kernel, signature, {constants!r}), target=GPUTarget("cuda", capability, 32))
        print(name, capability, len(made.asm["cubin"]))
"""


def assert_kernels_compile(
    module: str,
    kernels: Sequence[str],
    kinds: Mapping[str, str],
    constants: Mapping[str, object],
    env: Mapping[str, str],
) -> None:
    """Compiles kernels in a process without Triton's interpreter.

    Args:
        module: name of the kernels' module.
        kernels: their names.
        kinds: types of arguments by name, whole numbers if not given.
        constants: values of the constant arguments.
        env: environment of the process.
    """
    pytest.importorskip("triton", reason="needs triton")
    env = {name: value for name, value in env.items() if name != "TRITON_INTERPRET"}
    script = COMPILE.format(module=module, kinds=dict(kinds), kernels=list(kernels), constants=dict(constants))
    child = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stdout.count(" 90 ") == len(kernels)
