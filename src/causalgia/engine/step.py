"""The inner loop, as LLVM IR: Rodas5P steps on all lanes until one of them reaches its next record or fails."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from causalgia.engine import tableau
from causalgia.engine.evaluate import Evaluation
from causalgia.engine.lanes import DOUBLE, INT64, POINTER, Lanes
from causalgia.engine.layout import (
    ARRIVED,
    FINISHED,
    NON_FINITE,
    RUNNING,
    STEP_TOO_SMALL,
    TOO_MANY_STEPS,
    Layout,
)
from causalgia.engine.program import Program


def emit_advance(module: ir.Module, program: Program, layout: Layout, width: int) -> ir.Function:
    """void advance(workspace, rtol, max_steps): loops until any lane's report is not RUNNING."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, DOUBLE, DOUBLE])
    function = ir.Function(module, kind, "advance")
    function.attributes.add("noinline")
    entry, loop, leave = (function.append_basic_block(name) for name in ("entry", "loop", "leave"))
    lanes = Lanes(ir.IRBuilder(entry), width)
    workspace, rtol, max_steps = function.args
    rtol, max_steps = lanes.spread(rtol), lanes.spread(max_steps)
    lanes.b.branch(loop)
    lanes.b.position_at_end(loop)
    report = _Step(program, layout, lanes, workspace).emit(rtol, max_steps)
    done = lanes.any(lanes.b.fcmp_ordered("!=", report, lanes.const(RUNNING)))
    lanes.b.cbranch(done, leave, loop)
    lanes.b.position_at_end(leave)
    lanes.b.ret_void()
    return function


class _Step:
    """One attempted step of every lane, accepted or not lane by lane."""

    def __init__(self, program: Program, layout: Layout, lanes: Lanes, workspace: ir.Value) -> None:
        self.program, self.layout, self.lanes, self.workspace = program, layout, lanes, workspace
        self.n = program.states
        self.y = [self.load(i) for i in range(self.n)]
        self.fixed = {node: self.load(layout.rate + i) for i, node in enumerate(program.infusions)}
        self.fixed |= {node: self.load(layout.hoist + i) for i, node in enumerate(program.hoisted)}

    def pointer(self, slot: int) -> ir.Value:
        return self.lanes.b.gep(self.workspace, [ir.Constant(INT64, slot * self.lanes.width)], source_etype=DOUBLE)

    def load(self, slot: int) -> ir.Value:
        return self.lanes.b.load(self.pointer(slot), align=8 * self.lanes.width, typ=self.lanes.type)

    def store(self, value: ir.Value, slot: int) -> None:
        self.lanes.b.store(value, self.pointer(slot), align=8 * self.lanes.width)

    def scalar(self, name: str) -> ir.Value:
        return self.load(self.layout.scalar(name))

    def emit(self, rtol: ir.Value, max_steps: ir.Value) -> ir.Value:
        v = self.lanes
        time, target, shortest = self.scalar("time"), self.scalar("target"), v.const(tableau.SHORTEST)
        step = v.max(self.scalar("step"), shortest)
        alive = v.lt(v.const(0.0), self.scalar("alive"))
        left = v.sub(target, time)
        arrives = v.le(v.mul(left, v.const(tableau.NEARLY)), step)
        h = v.select(alive, v.select(arrives, v.max(left, shortest), step), v.const(1.0))
        y, error = self.rosenbrock(time, h)
        mean = self.mean_square(y, error, rtol)
        finite = v.finite(mean)
        mean = v.select(finite, mean, v.const(tableau.REJECT))
        accepted = v.le(mean, v.const(1.0))
        factor = self.step_factor(mean)
        wanted = v.mul(h, factor)
        following = v.select(accepted, v.select(arrives, v.max(step, wanted), wanted), v.min(wanted, h))
        self.store(following, self.layout.scalar("step"))
        reached = v.select(arrives, target, v.add(time, h))
        self.store(v.select(accepted, reached, time), self.layout.scalar("time"))
        self.keep(accepted, y)
        too_small = v.lt(following, v.mul(v.const(tableau.SMALLEST), v.max(v.abs(time), v.abs(target))))
        failure = v.select(finite, v.const(FINISHED + STEP_TOO_SMALL), v.const(FINISHED + NON_FINITE))
        spent = v.le(max_steps, self.count(accepted))
        report = v.select(spent, v.const(FINISHED + TOO_MANY_STEPS), v.const(RUNNING))
        report = v.select(v.both(v.negate(accepted), too_small), failure, report)
        report = v.select(v.both(accepted, arrives), v.const(ARRIVED), report)
        report = v.select(alive, report, v.const(RUNNING))
        self.store(report, self.layout.scalar("report"))
        return report

    def count(self, accepted: ir.Value) -> ir.Value:
        """Adds the step to its counter and returns the steps tried so far."""
        v = self.lanes
        one = v.const(1.0)
        taken = v.add(self.scalar("accepted"), v.select(accepted, one, v.const(0.0)))
        rejected = v.add(self.scalar("rejected"), v.select(accepted, v.const(0.0), one))
        self.store(taken, self.layout.scalar("accepted"))
        self.store(rejected, self.layout.scalar("rejected"))
        return v.add(taken, rejected)

    def keep(self, accepted: ir.Value, y: list[ir.Value]) -> None:
        for i in range(self.n):
            self.store(self.lanes.select(accepted, y[i], self.y[i]), i)

    def sizes(self, y: list[ir.Value]) -> list[ir.Value]:
        """What each state's error is measured by: floor + max(|y|, |y₁|); the floor rises with the state's peak."""
        v, sizes = self.lanes, []
        for i in range(self.n):
            slot, now = self.layout.floor + i, v.abs(self.y[i])
            floor = v.max(self.load(slot), v.mul(v.const(tableau.PEAK_FRACTION), now))
            self.store(floor, slot)
            sizes.append(v.add(floor, v.max(now, v.abs(y[i]))))
        return sizes

    def step_factor(self, mean: ir.Value) -> ir.Value:
        v = self.lanes
        log = v.log_positive(v.max(mean, v.const(tableau.EXACT)))
        factor = v.mul(v.const(tableau.SAFETY), v.exp(v.mul(v.const(-0.5 / tableau.ORDER), log)))
        return v.max(v.min(factor, v.const(tableau.GROWTH)), v.const(tableau.SHRINK))

    def mean_square(self, y: list[ir.Value], error: list[ir.Value], rtol: ir.Value) -> ir.Value:
        """The mean over states of (error / (rtol·size))²; two states share one division."""
        v, total, sizes = self.lanes, self.lanes.const(0.0), self.sizes(y)
        for i in range(0, self.n - 1, 2):
            (a, b), (p, q) = error[i : i + 2], sizes[i : i + 2]
            inverse = v.recip(v.mul(p, q))
            first, second = v.mul(v.mul(a, q), inverse), v.mul(v.mul(b, p), inverse)
            total = v.fma(second, second, v.fma(first, first, total))
        if self.n % 2:
            last = v.div(error[-1], sizes[-1])
            total = v.fma(last, last, total)
        inverse = v.recip(v.mul(rtol, rtol))
        return v.mul(v.mul(total, v.const(1 / self.n)), inverse)

    def rosenbrock(self, time: ir.Value, h: ir.Value) -> tuple[list[ir.Value], list[ir.Value]]:
        """The new states and their error estimate."""
        v = self.lanes
        inverse_h = v.recip(h)
        start = Evaluation(self.program, v, self.known(self.y, time))
        first = self.derivatives(start)
        factors = self.factorise(start, v.mul(inverse_h, v.const(1 / tableau.GAMMA)))
        clock = {i: v.mul(h, start.value(node)) for i, node in self.program.clock.items()}
        stages: list[list[ir.Value]] = [self.solve(factors, self.with_clock(first, clock, 0))]
        y = self.y
        for stage in range(1, tableau.STAGES):
            y = [self.combine(tableau.A[stage], stages, i, self.y[i]) for i in range(self.n)]
            at = v.fma(v.const(tableau.ALPHA[stage]), h, time)
            f = self.derivatives(Evaluation(self.program, v, self.known(y, at)))
            right = [v.fma(inverse_h, self.combine(tableau.C[stage], stages, i, None), f[i]) for i in range(self.n)]
            stages.append(self.solve(factors, self.with_clock(right, clock, stage)))
        error = stages[-1]
        return [v.add(y[i], error[i]) for i in range(self.n)], error

    def known(self, y: Sequence[ir.Value], time: ir.Value) -> dict[int, ir.Value]:
        program = self.program
        return {**self.fixed, program.time: time, **dict(zip(program.state_nodes, y, strict=True))}

    def derivatives(self, evaluation: Evaluation) -> list[ir.Value]:
        """f(t, y) plus the running infusions."""
        return evaluation.all(self.program.rates)

    def with_clock(self, right: list[ir.Value], clock: dict[int, ir.Value], stage: int) -> list[ir.Value]:
        gamma = tableau.GAMMA_SUM[stage]
        if gamma == 0.0:
            return right
        v = self.lanes
        return [v.fma(v.const(gamma), clock[i], r) if i in clock else r for i, r in enumerate(right)]

    def combine(
        self, coefficients: Sequence[float], stages: list[list[ir.Value]], i: int, start: ir.Value | None
    ) -> ir.Value:
        """Σ cⱼ kⱼ, on top of `start` if there is one."""
        v, total = self.lanes, start
        for c, k in zip(coefficients, stages, strict=True):
            if total is None:
                total = v.mul(v.const(c), k[i])
            else:
                total = v.add(total, k[i]) if c == 1.0 else v.fma(v.const(c), k[i], total)
        return total

    def factorise(self, start: Evaluation, diagonal: ir.Value) -> dict[tuple[int, int], ir.Value]:
        """L and U of I/(hγ) − J in one table, with reciprocal pivots on the diagonal."""
        v, plan = self.lanes, self.program.elimination
        w: dict[tuple[int, int], ir.Value] = {}
        for i in range(self.n):
            w[i, i] = diagonal
        for (i, j), node in self.program.jacobian.items():
            w[i, j] = v.sub(diagonal, start.value(node)) if i == j else v.neg(start.value(node))
        for turn, k in enumerate(plan.order):
            w[k, k] = v.recip(w[k, k])
            for i in plan.below(turn):
                w[i, k] = v.mul(w[i, k], w[k, k])
                for j in plan.right(turn):
                    product = w[i, k], w[k, j]
                    w[i, j] = v.fnma(*product, w[i, j]) if (i, j) in w else v.neg(v.mul(*product))
        return w

    def solve(self, w: dict[tuple[int, int], ir.Value], right: list[ir.Value]) -> list[ir.Value]:
        v, plan, x = self.lanes, self.program.elimination, list(right)
        for turn, k in enumerate(plan.order):
            for i in plan.left(turn):
                x[k] = v.fnma(w[k, i], x[i], x[k])
        for turn in range(self.n - 1, -1, -1):
            k = plan.order[turn]
            for j in plan.right(turn):
                x[k] = v.fnma(w[k, j], x[j], x[k])
            x[k] = v.mul(x[k], w[k, k])
        return x
