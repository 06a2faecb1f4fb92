"""A model to the object code of its kernel. Only a start without cache comes here: SymPy and libantimony follow."""

from __future__ import annotations

from llvmlite import ir

from causalgia.engine.driver import Driver
from causalgia.engine.layout import Layout
from causalgia.engine.native import compile_text
from causalgia.engine.program import Program, build_program
from causalgia.engine.step import emit_advance
from causalgia.models.model import Model


def generate_kernel(model: Model, lanes: int) -> tuple[bytes, Layout]:
    """Object code with the function `run`, and the layout of the workspace it works in."""
    program = build_program(model)
    layout = Layout(program.states, len(program.hoisted))
    return compile_text(generate_text(program, layout, lanes)), layout


def generate_text(program: Program, layout: Layout, lanes: int) -> str:
    """The LLVM module of a program."""
    module = ir.Module("kernel")
    advance = emit_advance(module, program, layout, lanes)
    Driver(module, program, layout, lanes).emit(advance)
    return str(module)
