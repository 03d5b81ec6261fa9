"""Choose scales of activations and the layout of int8 by time, on the CPU that quantizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any, get_args

import numpy as np

from albert_edge.check.quality import Budget
from albert_edge.compress.compressor import Compressor, Run
from albert_edge.graph.plan import Activations, Layout, Plan

# Single texts, evenly spread over the lengths of the sample, and how often each is answered.
_TEXTS, _TURNS = 8, 7
# What the default must lose by: it loads faster, and texts do not change each other's answers.
_CLEARLY = 0.97


@dataclass(frozen=True, slots=True)
class Timing:
    """A candidate.

    Attributes:
        activations: What shares a scale.
        layout: How layers are repeated.
        ms: Mean over the texts of the median time of one in milliseconds; None if it was refused.
        misses: The limits its answers exceed, in words.
        is_chosen: Whether it is the one to write.
    """

    activations: Activations
    layout: Layout
    ms: float | None
    misses: list[str]
    is_chosen: bool = False


def tune(compressor: Compressor, default: Plan, budget: Budget) -> list[Timing]:
    """Measure the candidates whose answers are good enough, and choose the fastest.

    Args:
        compressor: Judges and loads them.
        default: The plan to keep unless another is clearly faster; it meets the budget.
        budget: The limits of the gate.
    """
    pairs = [(a, layout) for a in get_args(Activations) for layout in get_args(Layout)]
    candidates = [replace(default, activations=a, layout=layout) for a, layout in pairs]
    candidates.sort(key=lambda plan: plan != default)
    misses = [budget.misses(compressor.try_out(plan).quality) for plan in candidates]
    accepted = [plan for plan, missed in zip(candidates, misses, strict=True) if not missed]
    with compressor.loaded(accepted) as runs:
        times = time_in_turns(runs, _spread(compressor.texts))
    fastest = min(range(len(times)), key=times.__getitem__)
    chosen = accepted[fastest if times[fastest] < _CLEARLY * times[0] else 0]
    taken = dict(zip(accepted, times, strict=True))
    return [
        Timing(
            plan.activations,
            plan.layout,
            1e3 * taken[plan] if plan in taken else None,
            missed,
            plan == chosen,
        )
        for plan, missed in zip(candidates, misses, strict=True)
    ]


def time_in_turns(runs: Sequence[Run], texts: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return for each model the mean over the texts of the median time of one, in seconds."""
    times: list[list[float]] = [[] for _ in runs]
    for text in texts:
        taken: list[list[float]] = [[] for _ in runs]
        for turn in range(_TURNS + 1):
            for run, seconds in zip(runs, taken, strict=True):
                start = perf_counter()
                run(text)
                if turn:  # the first run of a length allocates
                    seconds.append(perf_counter() - start)
        for of_model, seconds in zip(times, taken, strict=True):
            of_model.append(median(seconds))
    return [sum(of_model) / len(of_model) for of_model in times]


def _spread(texts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    by_length = sorted(texts, key=lambda arrays: int(arrays["input_ids"].shape[-1]))
    places = np.linspace(0, len(by_length) - 1, min(len(by_length), _TEXTS)).astype(int)
    return [by_length[place] for place in places]
