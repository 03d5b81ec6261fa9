"""How a benchmark was measured, in words, for whoever reads its figures elsewhere."""

from __future__ import annotations

from albert_edge.architecture.heads import HEADS
from albert_edge.architecture.precisions import may_stop_early
from albert_edge.benchmark.outputs import TOLERANCE
from albert_edge.benchmark.plan import Plan
from albert_edge.benchmark.shapes import CHOICES, FIRST
from albert_edge.benchmark.statistics import FAR_OUT
from albert_edge.benchmark.turns import FEWEST, LONGEST, MOST, REST, SHORT, TURN


def describe_method(plan: Plan, processors: dict[int, list[int]], starts: int) -> dict[str, str]:
    """The rules of a benchmark by topic.

    Args:
        plan: What was measured.
        processors: What processes were kept to, by the number of threads.
        starts: Fresh processes of each runtime.
    """
    kept = "; ".join(
        f"{threads} on processors {', '.join(map(str, numbers))}"
        if numbers
        else f"{threads} on any processor"
        for threads, numbers in processors.items()
    )
    topics = {
        "order": f"{_count(plan.rounds, 'round')}; in each every runtime has one turn at a shape, "
        f"in random order, in a process of its own, after a rest of {1e3 * REST:.0f} ms",
        "threads": kept,
        "warm-up": f"the first run of every turn is not timed, nor the second where a run takes "
        f"less than {SHORT:g} s",
        "runs": f"{FEWEST} to {MOST} a turn, the same for all runtimes; about {TURN:g} s, at most "
        f"{LONGEST:g} s of the slowest",
        "outliers": f"runs slower than the third quartile by more than {FAR_OUT:g} times the "
        "distance of the quartiles are left out, and counted",
        "ratio": "the baseline's median over the runtime's, of each round; the median of the "
        "rounds with their quartiles",
        "start": f"median of {_count(starts, 'fresh process', 'es')}; the first answer is that to "
        f"{FIRST[0]}x{FIRST[1]}, with imports and the tokenizer",
        "memory": f"{_whose(plan.device)} memory a fresh process grew by, its libraries imported: "
        f"on loading, after {plan.warm[0]}x{plan.warm[1]}, and at the most",
        "same weights": f"all outputs for {FIRST[0]}x{FIRST[1]} beside those of albert-edge in "
        f"fp32; an fp32 peer further away than {TOLERANCE:g} of the largest is not measured",
    }
    if any(may_stop_early(own.precision) for own in plan.own):
        topics["early exits"] = (
            "the ids are random, and texts stop after other numbers of layers; evaluate counts "
            "those of your data"
        )
    if HEADS[plan.head].has_choices:
        topics["inputs"] = f"each sequence of a batch is an item of {CHOICES} choices"
    return topics


def _whose(device: str) -> str:
    return "device" if device.startswith("cuda") else "resident"


def _count(number: int, what: str, plural: str = "s") -> str:
    """A number of things.

    >>> _count(2, "round")
    '2 rounds'
    """
    return f"{number} {what}{plural if number > 1 else ''}"
