"""The outer loop, as LLVM IR: hands each free lane a subject, serves its records, writes its results.

    run(first, last, tables, options, workspace)

works through subjects first … last − 1 of one chunk; `tables` are the pointers of `TABLES`, `options` the doubles of
`OPTIONS`. No call leaves the generated code, so the interpreter's lock is free while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from causalgia.engine.evaluate import Evaluation
from causalgia.engine.lanes import BOOL, DOUBLE, INT64, POINTER, Lanes
from causalgia.engine.layout import (
    ADD,
    ARRIVED,
    FINISHED,
    FREE,
    OBSERVE,
    OPTIONS,
    RATE,
    RUNNING,
    TABLES,
    UNDEFINED_START,
    Layout,
)
from causalgia.engine.program import Program
from causalgia.engine.tableau import RESTART


def integer(value: int) -> ir.Constant:
    return ir.Constant(INT64, value)


def real(value: float) -> ir.Constant:
    return ir.Constant(DOUBLE, float(value))


@contextmanager
def counted(b: ir.IRBuilder, stop: ir.Value) -> Iterator[ir.Value]:
    """A loop over 0 ≤ i < stop; yields i."""
    head, body, leave = (b.append_basic_block(name) for name in ("head", "body", "leave"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(INT64)
    i.add_incoming(integer(0), before)
    b.cbranch(b.icmp_signed("<", i, stop), body, leave)
    b.position_at_end(body)
    yield i
    i.add_incoming(b.add(i, integer(1)), b.block)
    b.branch(head)
    b.position_at_end(leave)


@contextmanager
def forever(b: ir.IRBuilder) -> Iterator[Callable[[ir.Value], None]]:
    """A loop without end; yields the statement `leave_if(condition)`."""
    body, leave = b.append_basic_block("again"), b.append_basic_block("done")
    b.branch(body)
    b.position_at_end(body)

    def leave_if(condition: ir.Value) -> None:
        on = b.append_basic_block("on")
        b.cbranch(condition, leave, on)
        b.position_at_end(on)

    yield leave_if
    b.branch(body)
    b.position_at_end(leave)


@dataclass
class Frame:
    """One lane inside one generated function: `lane` is its column of the workspace, `place` its subject and record."""

    b: ir.IRBuilder
    layout: Layout
    width: int
    tables: ir.Value
    options: ir.Value
    lane: ir.Value
    place: ir.Value

    def slot(self, slot: int | ir.Value) -> ir.Value:
        """The address of one number of the lane."""
        row = integer(slot) if isinstance(slot, int) else slot
        return self.b.gep(self.lane, [self.b.mul(row, integer(self.width))], source_etype=DOUBLE)

    def load(self, slot: int | str) -> ir.Value:
        where = self.layout.scalar(slot) if isinstance(slot, str) else slot
        return self.b.load(self.slot(where), typ=DOUBLE)

    def store(self, value: ir.Value, slot: int | str) -> None:
        self.b.store(value, self.slot(self.layout.scalar(slot) if isinstance(slot, str) else slot))

    def table(self, name: str) -> ir.Value:
        return self.b.load(self.b.gep(self.tables, [integer(TABLES.index(name))], source_etype=POINTER), typ=POINTER)

    def read(self, name: str, i: ir.Value, kind: ir.Type = DOUBLE) -> ir.Value:
        return self.b.load(self.b.gep(self.table(name), [i], source_etype=kind), typ=kind)

    def write(self, name: str, i: ir.Value, value: ir.Value) -> None:
        self.b.store(value, self.b.gep(self.table(name), [i], source_etype=value.type))

    def option(self, name: str) -> ir.Value:
        where = self.b.gep(self.options, [integer(OPTIONS.index(name))], source_etype=DOUBLE)
        return self.b.load(where, typ=DOUBLE)

    @property
    def subject(self) -> ir.Value:
        return self.b.load(self.place, typ=INT64)

    @property
    def record(self) -> ir.Value:
        return self.b.load(self.b.gep(self.place, [integer(1)], source_etype=INT64), typ=INT64)

    def move_to(self, record: ir.Value) -> None:
        self.b.store(record, self.b.gep(self.place, [integer(1)], source_etype=INT64))


class Driver:
    """Emits `run` and the functions it calls for one lane at a time."""

    def __init__(self, module: ir.Module, program: Program, layout: Layout, width: int) -> None:
        self.module, self.program, self.layout, self.width = module, program, layout, width

    def emit(self, advance: ir.Function) -> None:
        apply = self.emit_apply(self.emit_observe())
        records = self.emit_records(apply)
        finish = self.emit_finish()
        start = self.emit_start()
        self.emit_run(advance, self.emit_serve(records, finish, start))

    def frame(self, name: str, *extra: ir.Type, result: ir.Type | None = None) -> tuple[Frame, list[ir.Value]]:
        kind = ir.FunctionType(result or ir.VoidType(), [POINTER, POINTER, POINTER, POINTER, *extra])
        function = ir.Function(self.module, kind, name)
        function.linkage = "internal"
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        return Frame(builder, self.layout, self.width, *function.args[:4]), list(function.args[4:])

    def emit_observe(self) -> ir.Function:
        """Writes values[subject, row]: the selected outputs at the lane's time."""
        f, (row,) = self.frame("observe", INT64)
        b, program = f.b, self.program
        known = {node: f.load(i) for i, node in enumerate(program.state_nodes)}
        known |= {node: f.load(self.layout.hoist + i) for i, node in enumerate(program.hoisted)}
        known[program.time] = f.load("time")
        buffer = b.alloca(DOUBLE, len(program.outputs))
        for i, value in enumerate(Evaluation(program, Lanes(b, 1), known).all(program.outputs)):
            b.store(value, b.gep(buffer, [integer(i)], source_etype=DOUBLE))
        rows, width = (b.fptosi(f.option(name), INT64) for name in ("rows", "selected"))
        start = b.mul(b.add(b.mul(f.subject, rows), row), width)
        with counted(b, width) as k:
            output = b.load(b.gep(buffer, [f.read("selected", k, INT64)], source_etype=DOUBLE), typ=DOUBLE)
            f.write("values", b.add(start, k), output)
        b.ret_void()
        return b.function

    def emit_apply(self, observe: ir.Function) -> ir.Function:
        """Applies the current record; returns whether it disturbed the lane."""
        f, _ = self.frame("apply", result=BOOL)
        b, record = f.b, f.record
        action, index = f.read("action", record, INT64), f.read("index", record, INT64)
        value = f.read("value", record)
        with b.if_then(b.icmp_signed("==", action, integer(OBSERVE))):
            b.call(observe, [*b.function.args, index])
        with b.if_then(b.icmp_signed("==", action, integer(ADD))):
            state = f.slot(index)
            b.store(b.fadd(b.load(state, typ=DOUBLE), value), state)
        with b.if_then(b.icmp_signed("==", action, integer(RATE))):
            b.store(value, f.slot(b.add(index, integer(self.layout.rate))))
        b.ret(b.icmp_signed("!=", action, integer(OBSERVE)))
        return b.function

    def emit_records(self, apply: ir.Function) -> ir.Function:
        """Applies every record due at the lane's time, then aims at the next; FINISHED when none is left."""
        f, _ = self.frame("records")
        b, time = f.b, f.load("time")
        end = f.read("offset", b.add(f.subject, integer(1)), INT64)
        disturbed = b.alloca(BOOL)
        b.store(b.fcmp_ordered("==", f.load("step"), real(math.inf)), disturbed)
        with forever(b) as leave_if:
            record = f.record
            leave_if(b.icmp_signed(">=", record, end))
            leave_if(b.fcmp_ordered(">", f.read("time", record), time))
            b.store(b.or_(b.load(disturbed, typ=BOOL), b.call(apply, b.function.args)), disturbed)
            f.move_to(b.add(record, integer(1)))
        f.store(real(FINISHED), "report")
        with b.if_then(b.icmp_signed("<", f.record, end)):
            target = f.read("time", f.record)
            f.store(target, "target")
            f.store(real(RUNNING), "report")
            with b.if_then(b.load(disturbed, typ=BOOL)):
                first = b.fmul(real(RESTART), b.fsub(target, time))
                f.store(Lanes(b, 1).min(f.load("step"), first), "step")
        b.ret_void()
        return b.function

    def emit_finish(self) -> ir.Function:
        """Writes the subject's status and counts, and its last state if it was solved; the lane is free."""
        f, _ = self.frame("finish")
        b, subject, report = f.b, f.subject, f.load("report")
        status = b.fptosi(b.fsub(report, real(FINISHED)), INT64)
        f.write("status", subject, status)
        f.write("steps", subject, b.fptosi(f.load("accepted"), INT64))
        f.write("rejected", subject, b.fptosi(f.load("rejected"), INT64))
        with b.if_then(b.icmp_signed("==", status, integer(0))):
            first = b.mul(subject, integer(self.program.states))
            for i in range(self.program.states):
                f.write("final", b.add(first, integer(i)), f.load(i))
        f.store(real(FREE), "report")
        b.ret_void()
        return b.function

    def emit_start(self) -> ir.Function:
        """Readies the lane for its subject: parameters, hoisted values, initial states, counters."""
        f, _ = self.frame("start")
        b, program, layout, scalar = f.b, self.program, self.layout, Lanes(f.b, 1)
        first = b.mul(f.subject, integer(len(program.parameter_nodes)))
        nodes = enumerate(program.parameter_nodes)
        known = {node: f.read("parameters", b.add(first, integer(i))) for i, node in nodes}
        evaluation = Evaluation(program, scalar, known)
        defined: ir.Value = ir.Constant(BOOL, 1)
        for i, value in enumerate(evaluation.all(program.hoisted)):
            f.store(value, layout.hoist + i)
            defined = b.and_(defined, b.fcmp_ordered("==", value, value))
        for i, value in enumerate(evaluation.all(program.initial)):
            f.store(value, i)
        self.emit_given_initial(f)
        for i in range(program.states):
            f.store(real(0), layout.rate + i)
            f.store(f.read("floor", integer(i)), layout.floor + i)
            defined = b.and_(defined, scalar.finite(f.load(i)))
        settings = {"step": math.inf, "alive": 1.0, "accepted": 0.0, "rejected": 0.0}
        for name, number in settings.items():
            f.store(real(number), name)
        f.store(f.read("start", f.subject), "time")
        f.store(b.select(defined, real(ARRIVED), real(FINISHED + UNDEFINED_START)), "report")
        f.move_to(f.read("offset", f.subject, INT64))
        b.ret_void()
        return b.function

    def emit_given_initial(self, f: Frame) -> None:
        """Initial states from the caller, where there are any."""
        b, given = f.b, f.table("initial")
        with b.if_then(b.icmp_unsigned("!=", b.ptrtoint(given, INT64), integer(0))):
            first = b.mul(f.subject, integer(self.program.states))
            for i in range(self.program.states):
                f.store(f.read("initial", b.add(first, integer(i))), i)

    def emit_serve(self, records: ir.Function, finish: ir.Function, start: ir.Function) -> ir.Function:
        """Takes a lane that stands through its records and, at their end, on to the next subject.

        A lane for which no subject is left goes on RUNNING, not alive.
        """
        f, (queue, last) = self.frame("serve", POINTER, INT64)
        b, arguments = f.b, f.b.function.args[:4]
        with forever(b) as leave_if:
            leave_if(b.fcmp_ordered("==", f.load("report"), real(RUNNING)))
            with b.if_then(b.fcmp_ordered("==", f.load("report"), real(ARRIVED))):
                b.call(records, arguments)
            with b.if_then(b.fcmp_ordered(">=", f.load("report"), real(FINISHED))):
                b.call(finish, arguments)
            with b.if_then(b.fcmp_ordered("==", f.load("report"), real(FREE))):
                subject = b.load(queue, typ=INT64)
                with b.if_else(b.icmp_signed("<", subject, last)) as (more, none):
                    with more:
                        b.store(subject, f.place)
                        b.store(b.add(subject, integer(1)), queue)
                        b.call(start, arguments)
                    with none:
                        f.store(real(0.0), "alive")
                        f.store(real(RUNNING), "report")
        b.ret_void()
        return b.function

    def emit_run(self, advance: ir.Function, serve: ir.Function) -> None:
        kind = ir.FunctionType(ir.VoidType(), [INT64, INT64, POINTER, POINTER, POINTER])
        function = ir.Function(self.module, kind, "run")
        first, last, tables, options, workspace = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        places = b.alloca(INT64, 2 * self.width)
        queue, alive = b.alloca(INT64), b.alloca(DOUBLE)
        b.store(first, queue)

        def frame(lane: ir.Value) -> Frame:
            column = b.gep(workspace, [lane], source_etype=DOUBLE)
            place = b.gep(places, [b.mul(lane, integer(2))], source_etype=INT64)
            return Frame(b, self.layout, self.width, tables, options, column, place)

        with counted(b, integer(self.width)) as lane:
            frame(lane).store(real(FREE), "report")
        rtol, max_steps = (frame(integer(0)).option(name) for name in ("rtol", "max_steps"))
        with forever(b) as leave_if:
            b.store(real(0.0), alive)
            with counted(b, integer(self.width)) as lane:
                f = frame(lane)
                b.call(serve, [tables, options, f.lane, f.place, queue, last])
                b.store(b.fadd(b.load(alive, typ=DOUBLE), f.load("alive")), alive)
            leave_if(b.fcmp_ordered("==", b.load(alive, typ=DOUBLE), real(0.0)))
            b.call(advance, [workspace, rtol, max_steps])
        b.ret_void()
