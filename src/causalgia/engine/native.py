"""LLVM for this machine: module text to object code, object code to a function that ctypes can call."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import llvmlite
import llvmlite.binding as llvm

RUN = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def target_machine() -> Any:
    """The host, with full-width vectors where it would else prefer half (AVX-512). An engine takes it over for good."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=_features(), opt=3, jit=True)


def _features() -> str:
    features = llvm.get_host_cpu_features()
    text = str(features.flatten())
    return text + ",-prefer-256-bit" if features.get("avx512f") else text


def vector_lanes() -> int:
    """Doubles in the widest vector of this machine: measured faster than twice as many (Zen 3), never slower."""
    features = llvm.get_host_cpu_features()
    return 8 if features.get("avx512f") else 4 if features.get("avx") else 2


def fingerprint() -> str:
    """What object code depends on beside its source: processor, its features, LLVM."""
    versions = f"{llvmlite.__version__} {llvm.llvm_version_info}"
    return f"{llvm.get_default_triple()} {llvm.get_host_cpu_name()} {_features()} {versions}"


def compile_text(text: str) -> bytes:
    """Object code of a module."""
    machine = target_machine()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.slp_vectorization = False  # the lanes are the vectors
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)
    return bytes(machine.emit_object(module))


def load_object(code: bytes) -> tuple[Callable[..., None], object]:
    """The function `run` of object code, and what must stay alive as long as it is called."""
    machine = target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = engine.get_function_address("run")
    if not address:
        raise RuntimeError("the object code holds no function 'run'")
    return RUN(address), engine
