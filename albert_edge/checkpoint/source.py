"""The name of a checkpoint -> its local folder, downloaded if necessary.

A name is that of a folder, the short name of a known checkpoint (models/), or a hub id.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from albert_edge.bundle.sentence_layout import MODEL_CONFIG, MODULES, transformer_folder
from albert_edge.checkpoint.formats import FORMATS
from albert_edge.checkpoint.lora import (
    ADAPTER_CONFIG,
    ADAPTER_FORMATS,
    is_adapter,
    read_base_name,
)
from albert_edge.checkpoint.original_files import ORIGINAL_FILES
from albert_edge.checkpoint.recipes import Recipe, models_folder, read_recipes
from albert_edge.errors import (
    Argument,
    CheckpointError,
    Message,
    SourceUnreachableError,
    UsageError,
)
from albert_edge.packages import import_extra
from albert_edge.plain import without_secrets

TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.txt",
)
# All files that a bundle can need, besides the weights. None of them is code.
SMALL_FILES = (
    "config.json",
    *TOKENIZER_FILES,
    # The layout of sentence-transformers, with a folder for each module.
    MODULES,
    MODEL_CONFIG,
    "sentence_*_config.json",
    "[0-9]*_*/*.json",
    "[0-9]*_*/spiece.model",
    "[0-9]*_*/vocab.txt",
    *(f"[1-9]*_*/{row.file}" for row in FORMATS if row.is_standard),
)
# Of adapters, and of the programs that ALBERT was published with.
_OTHER_FILES = (
    ADAPTER_CONFIG,
    *(row.file for row in ADAPTER_FORMATS),
    *(f"{place}{pattern}" for place in ("", "assets/") for pattern in ORIGINAL_FILES),
)
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint is.

    Attributes:
        root: Its folder.
        folder: The folder in it that holds config.json, weights and tokenizer.
        name: The hub id, the short name of an included model, or the name of the folder.
        revision: The commit of the hub, or None for a folder.
        recipe: Its recipe, if the short name or the hub id of one was given.
        base: What was adapted, if `folder` holds an adapter.
    """

    root: Path
    folder: Path
    name: str
    revision: str | None = None
    recipe: Recipe | None = None
    base: Source | None = None


def find_source(source: str, revision: str | None = None, base: str | None = None) -> Source:
    """Find a checkpoint, downloading it if it is neither a folder nor cached.

    Args:
        source: A folder, a short name, or a hub id.
        revision: Branch, tag or commit of the hub; the main branch if None.
        base: What the adapter in `source` adapts, as `source`; if None, the weights beside it, or
            else what its adapter_config.json names.

    Raises:
        UsageError: A revision for a folder, a base for what is not an adapter, or a name that is
            neither a folder nor a hub id.
        CheckpointError: The folder does not exist, or its modules.json is damaged.
        SourceUnreachableError: The hub cannot be reached or does not have it.
        MissingExtraError: huggingface_hub is not installed.
        ConfigError: The checkpoint is not the one that its recipe describes.
    """
    found = _find(source, revision)
    if is_adapter(found.folder):
        return replace(found, base=_find_base(found, base))
    if base is not None:
        raise UsageError(
            Message(Argument("base", base), f" has no meaning: {source} is not an adapter."),
            tip=f"Leave it out, or name a folder with {ADAPTER_CONFIG}.",
        )
    return found


def _find_base(adapter: Source, name: str | None) -> Source:
    """Find the base of an adapter: the one named, the weights beside it, or its configuration's."""
    if name is not None:
        base = _find(name, None)
    elif any(row.files(adapter.folder) for row in FORMATS):
        return replace(adapter, base=None)
    else:
        named, revision = read_base_name(adapter.folder)
        tip = Message("Name its base with ", Argument("base"), ".")
        if not named:
            raise UsageError(f"{adapter.folder / ADAPTER_CONFIG} names no base.", tip=tip)
        try:
            base = _find(named, revision)
        except (CheckpointError, SourceUnreachableError, UsageError) as error:
            place = f"The base in {adapter.folder / ADAPTER_CONFIG}: "
            raise type(error)(Message(place, error.message), tip=tip) from error
    if is_adapter(base.folder):
        raise CheckpointError(
            f"The base {base.name} is itself an adapter.",
            tip=Message("Name the checkpoint that was adapted with ", Argument("base"), "."),
        )
    return base


def _find(source: str, revision: str | None) -> Source:
    if not source:
        raise UsageError("The source is empty.", tip="Name a folder, a short name or a hub id.")
    recipes = read_recipes()
    recipe = recipes.get(source)
    if local := _local_source(source, recipe):
        if revision is not None:
            raise UsageError(
                Message(
                    Argument("revision", revision), f" has no meaning for the folder {local.root}."
                ),
                tip="Leave it out, or name a model on the hub.",
            )
        return local
    if source.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(source):
        raise CheckpointError(
            f"{without_secrets(source)!r} is not a folder.",
            tip="Name a checkpoint folder, a short name or a hub id.",
        )
    name = recipe.source if recipe and recipe.source else source
    root = _download(name, revision)
    folder = transformer_folder(root)
    if recipe:
        recipe.check(folder)
    else:  # the full id is for whoever trusts a checkpoint of other sizes
        recipe = next((r for r in recipes.values() if r.source == name), None)
    return Source(root, folder, name, revision=root.name, recipe=recipe)


def _local_source(source: str, recipe: Recipe | None) -> Source | None:
    try:
        folder = Path(source).expanduser()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # no such user, too long, a NUL in it
        is_folder = False
    if is_folder:
        return Source(folder, transformer_folder(folder), _in_unicode(folder.resolve().name))
    if recipe and recipe.ships:
        folder = models_folder() / source
        return Source(folder, folder, source, recipe=recipe)
    return None


def _in_unicode(name: str) -> str:
    """Return the name of a folder with escapes for bytes that are not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _download(name: str, revision: str | None) -> Path:
    """Download to huggingface_hub's cache, which is used first; HF_HUB_OFFLINE is respected."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when it is imported
    import_extra("huggingface_hub", extra="export", purpose=f"Downloading {name}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    def fetch(*patterns: str) -> Path:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))

    try:
        for row in FORMATS:
            in_module = (f"0_*/{pattern}" for pattern in row.patterns)
            folder = fetch(*SMALL_FILES, *_OTHER_FILES, *row.patterns, *in_module)
            if row.files(transformer_folder(folder)):
                break
    except HFValidationError as error:
        raise UsageError(
            f"{name} is not a hub id: {error}", tip="Write it as owner/name."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision}" if revision else ""
        reason = without_secrets(str(error)).partition("\n")[0]
        raise SourceUnreachableError(
            f"{name}{at} is not cached and could not be downloaded: {reason}",
            tip="Check the name and the connection, or download it elsewhere and name the folder.",
        ) from error
    return folder
