"""Models of some width, built and judged by their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from albert_edge.architecture.config import AlbertConfig
from albert_edge.architecture.work import multiply_accumulates
from albert_edge.check.quality import Outputs, thin
from albert_edge.graph.plan import CPU_OPTIMIZATIONS, Plan
from albert_edge.progress import Progress
from albert_edge.pruning.layers import Layers, Width
from albert_edge.pruning.moments import Arrays
from albert_edge.runtime.engine import run_file
from albert_edge.runtime.memory import return_freed_memory


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the texts.

    Attributes:
        name: What it is for, such as "fit" or "selection".
        inputs: The texts.
        judge: Says whether a candidate's answers to all of them, in order, reduced by `thin`, are
            good enough.
    """

    name: str
    inputs: Sequence[Arrays]
    judge: Callable[[Sequence[Outputs]], bool]

    def work(self, config: AlbertConfig, head: str) -> float:
        """Return the mean multiply-accumulates of an encoder for a row of the inputs."""
        lengths = [arrays["input_ids"].shape[-1] for arrays in self.inputs]
        return fmean(multiply_accumulates(config, head, length) for length in lengths)


@dataclass(frozen=True, slots=True)
class Trial:
    """A width that was tried.

    Attributes:
        part: Name of the part of the texts that it was tried on.
        width: The width.
        saved: Share of the encoder's multiply-accumulates that it saves on these texts.
        passes: Whether its answers were good enough.
    """

    part: str
    width: Width
    saved: float
    passes: bool


class Candidates:
    """Builds models of some width and lets them be judged.

    Args:
        config: The geometry of the full model.
        head: A key of `HEADS`.
        layers: The layers to narrow.
        scratch: A folder for files that are not kept.
        progress: Called with (what, done, total).

    Attributes:
        trials: All that was tried, in order.
    """

    def __init__(
        self, config: AlbertConfig, head: str, layers: Layers, scratch: Path, progress: Progress
    ) -> None:
        self._config = config
        self._head = head
        self._layers = layers
        self._scratch = scratch
        self._progress = progress
        self.trials: list[Trial] = []

    def saved(self, width: Width, part: Part) -> float:
        """Return the share of the multiply-accumulates that a width saves."""
        full = part.work(self._config, self._head)
        return 1 - part.work(width.of(self._config), self._head) / full

    def passes(self, width: Width, part: Part) -> bool:
        """Build a model unless it was tried before, and return whether it passes on a part."""
        for trial in self.trials:
            if (trial.part, trial.width) == (part.name, width):
                return trial.passes
        passes = part.judge(list(self._answers(width, part)))
        self.trials.append(Trial(part.name, width, self.saved(width, part), passes))
        return passes

    def _answers(self, width: Width, part: Part) -> Iterator[Outputs]:
        plan = Plan("cpu", "loop", CPU_OPTIMIZATIONS)
        files = self._layers.write(width, self._head, plan, self._scratch / "candidate.onnx")
        run = run_file(files[0])
        what = f"trying {width.neurons} neurons"
        what += f" and {width.heads_removed} heads less" if width.heads_removed else ""
        for count, arrays in enumerate(part.inputs, 1):
            yield thin(run(arrays))
            self._progress(what, count, len(part.inputs))
        del run
        return_freed_memory()
        for file in files:
            file.unlink()
