"""What is public, what each part may import, and how long modules and functions may be."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.checkpoints import make_model
from support.paths import DATA, ROOT

import albert_edge
from albert_edge.architecture.heads import HEAD_OF_TASK
from albert_edge.runtime.pipeline import Pipeline
from albert_edge.runtime.task import Task
from albert_edge.runtime.tasks import pipeline_class

PACKAGE = Path(albert_edge.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "models" not in path.relative_to(PACKAGE).parts  # recipes and training scripts in a wheel
}
REFERENCES = ["torch", "transformers", "onnx", "onnxscript", "onnx_ir", "optimum"]
RUNTIME = ["numpy", "onnxruntime", "tokenizers"]
LONGEST_MODULE = 350
LONGEST_FUNCTION = 50


# --- public names ---------------------------------------------------------------------------


def test_public_names() -> None:
    assert albert_edge.__all__ == [
        "AlbertEdgeError",
        "ItemError",
        "Session",
        "__version__",
        "bench",
        "evaluate",
        "export",
        "inspect",
        "open_bundle",
        "optimize",
        "pack",
        "pipeline",
        "quantize",
        "sign",
        "specialize",
        "unpack",
        "verify",
    ]
    assert set(albert_edge.__all__) <= set(dir(albert_edge))
    for name in {*albert_edge.__all__} - {"__version__"}:
        assert getattr(albert_edge, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        albert_edge.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_no_submodule_hides_a_public_name() -> None:
    # Importing albert_edge.x sets the attribute x, and would hide a function of that name.
    for module in pkgutil.walk_packages([str(PACKAGE)], "albert_edge."):
        if "__" not in module.name:  # a program, and what PyInstaller runs
            importlib.import_module(module.name)
    for name in {*albert_edge.__all__} - {"__version__"}:
        assert callable(getattr(albert_edge, name))
    assert not {module.name for module in pkgutil.iter_modules([str(PACKAGE)])} & set(
        albert_edge.__all__
    )


# --- what is loaded -------------------------------------------------------------------------


def loaded(code: str, *args: str) -> set[str]:
    """Top-level names of the modules a fresh interpreter has loaded after some code."""
    code += "\nimport sys; print('loaded:', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import albert_edge",
        "from albert_edge import AlbertEdgeError, open_bundle",
        "import albert_edge; dir(albert_edge)",
    ],
)
def test_the_package_loads_nothing_heavy(code: str) -> None:
    heavy = {*REFERENCES, *RUNTIME, "safetensors", "huggingface_hub", "typer", "rich"}
    assert loaded(code) & heavy == set()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Chinese classifier, portable, optimized and quantized."""
    folder = tmp_path_factory.mktemp("imports")
    make_model("text-classification", vocab_size=21_128).save_pretrained(folder / "checkpoint")
    vocabulary = (DATA / "tokenizers" / "vocab.txt").read_bytes()
    (folder / "checkpoint" / "vocab.txt").write_bytes(vocabulary)
    albert_edge.export(folder / "checkpoint", folder / "bundle")
    albert_edge.optimize(folder / "bundle")
    # What matters here is what is loaded, not how well 24 random features can be rounded.
    albert_edge.quantize(folder / "bundle", precision="int8", min_agreement=0.9, min_cosine=0.9)
    return folder / "bundle"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_answer_loads_the_runtime_alone(precision: str, bundle: Path) -> None:
    names = loaded(
        "import albert_edge, sys\n"
        "model, precision = sys.argv[1:]\n"
        "ask = albert_edge.pipeline('text-classification', model=model, precision=precision)\n"
        "assert set(ask('今天')[0]) == {'label', 'score'}",
        str(bundle),
        precision,
    )
    assert set(RUNTIME) <= names  # else nothing was answered
    assert names & {*REFERENCES, "safetensors", "huggingface_hub", "typer", "rich"} == set()


def test_every_task_is_found_by_its_name() -> None:
    classes = {name: pipeline_class(name) for name in HEAD_OF_TASK}
    assert all(kind.task == name for name, kind in classes.items())
    for kind in classes.values():
        assert issubclass(kind, Pipeline) and issubclass(kind.kind, Task)
        assert kind.kind.fields.needed and kind.kind.parameter_names()


def test_a_task_loads_no_other(bundle: Path) -> None:
    code = (
        "import albert_edge, sys\n"
        "albert_edge.pipeline('text-classification', model=sys.argv[1])\n"
        "tasks = [name for name in sys.modules if name.startswith('albert_edge.runtime.tasks.')]\n"
        "print(*sorted(name.rpartition('.')[2] for name in tasks))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bundle], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["ranked", "text_classification"]


def test_making_a_bundle_loads_no_torch(bundle: Path, tmp_path: Path) -> None:
    names = loaded(
        "import albert_edge, sys\n"
        "albert_edge.export(sys.argv[1], sys.argv[2])\n"
        "albert_edge.optimize(sys.argv[2])\n"
        "options = {'min_agreement': 0.9, 'min_cosine': 0.9}\n"
        "albert_edge.quantize(sys.argv[2], precision='int8', **options)\n"
        "albert_edge.quantize(sys.argv[2], precision='mixed', **options)",
        str(bundle.parent / "checkpoint"),
        str(tmp_path / "out"),
    )
    assert "onnxscript" in names
    assert names & {"torch", "transformers", "optimum"} == set()


# --- layers ---------------------------------------------------------------------------------


def imports(module: str) -> set[str]:
    """Every module a module names in an import, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            # What is imported from a package may be a module of it.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_extra":
            found |= {str(name.value) for name in node.args if isinstance(name, ast.Constant)}
    return found


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_rooms_import_only_from_lower_floors() -> None:
    """The contracts stand in pyproject.toml, under tool.importlinter."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout


def test_the_runtime_needs_its_three_packages_alone() -> None:
    allowed = {*sys.stdlib_module_names, *RUNTIME, "albert_edge"}
    # Inside a function, for those who ask for tensors.
    also = {"albert_edge.runtime.tasks.encode": {"torch"}}
    for module in MODULES:
        if under(module, "albert_edge.runtime"):
            others = {name.partition(".")[0] for name in imports(module)} - allowed
            assert others == also.get(module, set()), module


COMMON = [
    "albert_edge.bundle.bundle",
    "albert_edge.bundle.change",
    "albert_edge.bundle.manifest",
    "albert_edge.bundle.manifest_reader",
    "albert_edge.bundle.model_file",
    "albert_edge.bundle.packed",
    "albert_edge.bundle.packing",
    "albert_edge.bundle.storage",
    "albert_edge.errors",
    "albert_edge.architecture.activations",
    "albert_edge.architecture.config",
    "albert_edge.architecture.heads",
    "albert_edge.architecture.precisions",
    "albert_edge.architecture.weights",
    "albert_edge.choices",
    "albert_edge.cleanup",
    "albert_edge.disk",
    "albert_edge.json_fields",
    "albert_edge.records",
    "albert_edge.bundle.sentence_layout",
]


@pytest.mark.parametrize("module", COMMON)
def test_what_all_share_needs_the_standard_library_alone(module: str) -> None:
    assert module in MODULES
    wrong = [
        name
        for name in imports(module)
        if name.partition(".")[0] not in sys.stdlib_module_names and not under(name, *COMMON)
    ]
    assert wrong == []


def test_the_layers_are_really_read() -> None:
    assert "albert_edge.bundle.bundle" in imports("albert_edge.runtime.session")
    assert "albert_edge.graph.build" in imports("albert_edge.steps.optimize")  # inside a function
    assert "albert_edge.steps.quantize" in imports("albert_edge.cli.quantize")


# --- sizes ----------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def module_lengths() -> dict[str, int]:
    return {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in MODULES.items()
    }


def function_lengths() -> dict[str, int]:
    """Lines of each function, with its signature and without its docstring."""
    return {
        f"{module}.{node.name}:{node.lineno}": lines(node) - docstring_lines(node)
        for module, path in MODULES.items()
        for node in functions(ast.parse(path.read_text(encoding="utf-8")))
    }


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return 0 if ast.get_docstring(node) is None else lines(node.body[0])


@pytest.mark.parametrize(
    ("lengths", "longest"),
    [(module_lengths, LONGEST_MODULE), (function_lengths, LONGEST_FUNCTION)],
    ids=["modules", "functions"],
)
def test_nothing_is_too_long(lengths: Callable[[], dict[str, int]], longest: int) -> None:
    found = lengths()
    assert len(found) > 20
    assert {name: lines for name, lines in found.items() if lines > longest} == {}
