"""Write the bundle of a model whose weights, configuration or tokenizer were changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from albert_edge.architecture.config import AlbertConfig
from albert_edge.bundle.bundle import Bundle
from albert_edge.bundle.change import change
from albert_edge.bundle.manifest import MODEL, PORTABLE, Variant
from albert_edge.bundle.storage import chunks
from albert_edge.compress.rounding import Floats
from albert_edge.graph.plan import Plan
from albert_edge.progress import Progress
from albert_edge.pruning.vocabulary import ReducedVocabulary
from albert_edge.runtime.self_test import SELF_TEST
from albert_edge.steps.export import PORTABLE_FILE

_CONFIG = "config.json"


def write_bundle(
    folder: Path,
    source: Bundle,
    config: AlbertConfig,
    floats: Mapping[str, Floats],
    reduced: ReducedVocabulary | None,
    progress: Progress,
) -> None:
    """Write a bundle with one variant, the portable one.

    Args:
        folder: Where to write it.
        source: The bundle that it is made of, whose other files are taken over.
        config: The configuration of the new model, with the whole vocabulary.
        floats: Its weights by name, matrices as (in_features, out_features).
        reduced: The vocabulary that it keeps, or None to keep all of it.
        progress: Called with ("writing weights", bytes written, bytes in all).
    """
    from albert_edge.graph.build import author
    from albert_edge.graph.writer import write_model

    changed: dict[str, bytes] = {}
    fields: Mapping[str, Any] = source.read_object(_CONFIG).values
    if reduced is not None:
        floats, fields = reduced.select_rows(floats), reduced.files.config
        config = replace(config, vocab_size=reduced.rows)
        changed["tokenizer.json"] = reduced.files.tokenizer_json.encode()
        changed["tokenizer_config.json"] = _json(reduced.files.tokenizer_config)
    changed[_CONFIG] = _config(config, fields)
    manifest = source.manifest
    authored = author(config, manifest.head, Plan())
    with change(folder) as pending:
        kept = [record.file for record in manifest.files if record.file != SELF_TEST]
        for file in kept:
            pending.write(file, [changed[file] if file in changed else source.read(file)])
        step = partial(progress, "writing weights")
        files = write_model(authored, floats.__getitem__, pending.path(PORTABLE_FILE), step)
        variant = replace(
            source.variant(PORTABLE),
            files={MODEL: tuple(map(pending.record, files))},
            opset=authored.model.opset_imports[""],
            measured={},
        )
        pending.manifest = replace(
            manifest,
            files=tuple(pending.record(pending.path(file)) for file in kept),
            variants=(variant,),
        )


def copy_bundle(folder: Path, source: Bundle, variants: Sequence[Variant]) -> None:
    """Write a bundle with the portable variant and some others, all as they are.

    Args:
        folder: Where to write it.
        source: The bundle to copy.
        variants: The other variants.
    """
    kept = {each.name: each for each in (source.variant(PORTABLE), *variants)}
    manifest = replace(source.manifest, variants=tuple(kept.values()))
    with change(folder) as pending:
        for record in manifest.distinct_records():
            pending.write(record.file, chunks(source.storage, record))
        pending.manifest = manifest


def _config(config: AlbertConfig, fields: Mapping[str, Any]) -> bytes:
    """Return config.json with the sizes of the new model's layer."""
    fields = {**fields, **config.width_fields}
    if not config.pruned_heads:
        del fields["pruned_heads"]
    return _json(fields)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
