"""What is kept, what is refused, and what options change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import sentencepiece_model_pb2
from support import paths
from support.tokenizer_folders import FOLDERS, TEXTS, Folder
from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer import Overrides, TokenizerFiles, read_tokenizer
from albert_edge.errors import CheckpointError

SPIECE = (paths.DATA / "tokenizers" / "spiece.model").read_bytes()


def read(folder: Path, **overrides: bool) -> TokenizerFiles:
    files = read_tokenizer(folder, Overrides(**overrides))
    assert files is not None
    return files


def ids(files: TokenizerFiles) -> list[list[int]]:
    return [files.tokenizer.encode(text, "pair").ids for text in TEXTS]


UNCHANGED = ["wordpiece-saved", "wordpiece-generic", "unigram-saved", "unigram-no-class"]
UNCHANGED += ["unigram-keep-beside", "unigram-cased-beside", "unigram-of-older-versions"]


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_needs_no_change_is_kept_byte_for_byte(name: str, tmp_path: Path) -> None:
    path = FOLDERS[name].write(tmp_path) / "tokenizer.json"
    content = json.dumps(json.loads(path.read_bytes()), indent=3).replace("\n", "\r\n").encode()
    path.write_bytes(content)
    assert read(tmp_path).tokenizer_json.encode() == content


@pytest.mark.parametrize("name", ["wordpiece-cased", "wordpiece-not-added", "unigram-renamed"])
def test_what_the_settings_change_is_written(name: str, tmp_path: Path) -> None:
    path = FOLDERS[name].write(tmp_path) / "tokenizer.json"
    assert read(tmp_path).tokenizer_json != path.read_text(encoding="utf-8")


def test_what_transformers_js_lacks_is_replaced_by_the_same(tmp_path: Path) -> None:
    path = FOLDERS["unigram-nmt"].write(tmp_path) / "tokenizer.json"
    ours, theirs = read(tmp_path), Tokenizer.from_file(str(path))
    assert '"Nmt"' not in ours.tokenizer_json and '"Nmt"' in path.read_text(encoding="utf-8")
    characters = map(chr, (*range(0x3000), *range(0xF900, 0x10000), *range(0x1F300, 0x1F700)))
    texts = [f"a {character}b" for character in characters]
    found = ours.tokenizer.encode_batch(texts)
    for text, one, other in zip(texts, found, theirs.encode_batch(texts), strict=True):
        assert (one.ids, one.offsets) == (other.ids, other.offsets), text.encode()


def test_settings_beside_it_are_kept(tmp_path: Path) -> None:
    config = {
        "tokenizer_class": "BertTokenizer",
        "max_len": 64,
        "padding_side": "left",
        "name_or_path": "/home/someone",
        "remove_space": True,
    }
    files = read(Folder("", ("wordpiece",), {"tokenizer_config": config}).write(tmp_path))
    assert files.tokenizer_config["tokenizer_class"] == "BertTokenizer"
    assert files.tokenizer_config["model_max_length"] == 64
    assert files.tokenizer_config["padding_side"] == "left"
    # A path of another machine; and transformers.js would act on what tokenizer.json does already.
    assert not {"name_or_path", "remove_space"} & files.tokenizer_config.keys()
    assert files.special_tokens_map["mask_token"] == "[MASK]"


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    assert read_tokenizer(tmp_path) is None


def test_the_vocabulary_decides_where_no_class_is_named(tmp_path: Path) -> None:
    bert = read(Folder("", ("words",)).write(tmp_path / "words"))
    named = read(FOLDERS["vocab-named"].write(tmp_path / "named"))
    assert ids(bert) == ids(named)
    bert = read(FOLDERS["wordpiece-no-class"].write(tmp_path / "json"))
    named = read(FOLDERS["wordpiece-saved"].write(tmp_path / "named-json"))
    assert bert == named


# --- options --------------------------------------------------------------------------------

# Each option beside the setting of a class that means the same.
SAME = {
    "words": ({"tokenizer_class": "BertTokenizer"}, {"strip_accents": False}),
    "pieces": ({"tokenizer_class": "AlbertTokenizer"}, {"keep_accents": True}),
    "wordpiece": ({"tokenizer_class": "BertTokenizer"}, {"strip_accents": False}),
}
CASE_FOLDING = {"type": "Replace", "pattern": {"String": "A"}, "content": "a"}


@pytest.mark.parametrize("base", SAME)
def test_options_are_as_if_the_checkpoint_said_so(base: str, tmp_path: Path) -> None:
    config, kept = SAME[base]
    stripped = {name: not value for name, value in kept.items()}
    cases: list[tuple[dict[str, bool], dict[str, bool]]] = [
        ({"keep_accents": True}, kept),
        ({"keep_accents": False}, stripped),
        ({"lowercase": False}, {"do_lower_case": False}),
        ({"keep_accents": True, "lowercase": False}, {**kept, "do_lower_case": False}),
        ({"keep_accents": False, "lowercase": True}, {**stripped, "do_lower_case": True}),
    ]
    plain = Folder("", (base,), {"tokenizer_config": config}).write(tmp_path / "plain")
    for at, (options, settings) in enumerate(cases):
        folder = Folder("", (base,), {"tokenizer_config": config | settings})
        assert ids(read(plain, **options)) == ids(read(folder.write(tmp_path / str(at))))
    assert len({str(ids(read(plain, **options))) for options, _ in cases}) >= 3


@pytest.mark.parametrize("name", ["unigram-saved", "unigram-of-older-versions"])
def test_options_change_a_unigram_tokenizer_json(name: str, tmp_path: Path) -> None:
    folder = FOLDERS[name].write(tmp_path)
    normalizers = {
        options: read(folder, **dict(options)).tokenizer.normalizer.normalize_str("Få कुल ``Å''")
        for options in (
            (),
            (("keep_accents", True),),
            (("lowercase", False),),
            (("keep_accents", True), ("lowercase", False)),
            (("keep_accents", False), ("lowercase", True)),
        )
    }
    assert list(normalizers.values()) == [
        'fa कल "a"',
        'få कुल "å"',
        'Fa कल "A"',
        'Få कुल "Å"',
        'fa कल "a"',
    ]


def test_an_option_that_changes_nothing_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = FOLDERS["unigram-saved"].write(tmp_path) / "tokenizer.json"
    files = read(tmp_path, keep_accents=False, lowercase=True)
    assert files.tokenizer_json == path.read_text(encoding="utf-8")


def test_a_bert_normalizer_among_others(tmp_path: Path) -> None:
    folder = FOLDERS["wordpiece-in-sequence"].write(tmp_path)
    normalizer = read(folder, keep_accents=True, lowercase=False).tokenizer.normalizer
    assert normalizer.normalize_str("Få") == "Få"
    assert read(folder).tokenizer.normalizer.normalize_str("Få") == "fa"


def test_an_option_without_effect_is_refused(tmp_path: Path) -> None:
    def fold(content: dict[str, Any]) -> None:
        content["normalizer"]["normalizers"].append(CASE_FOLDING)

    folder = Folder("", ("unigram",), edit=fold).write(tmp_path)
    with pytest.raises(CheckpointError, match="does not allow lowercase=False"):
        read(folder, lowercase=False)


# --- refusals -------------------------------------------------------------------------------


def edited_spiece(**changes: Any) -> bytes:
    """spiece.model with fields of its trainer_spec changed."""
    model = sentencepiece_model_pb2.ModelProto.FromString(SPIECE)
    for field, value in changes.items():
        setattr(model.trainer_spec, field, value)
    return bytes(model.SerializeToString())


def scored(score: float) -> bytes:
    """spiece.model with this score of a piece."""
    model = sentencepiece_model_pb2.ModelProto.FromString(SPIECE)
    model.pieces[100].score = score
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("spiece.model", b"", "not a whole SentencePiece model"),
        ("spiece.model", b"version https://git-lfs.github.com/spec/v1\n", "not a SentencePiece"),
        ("spiece.model", SPIECE[:400_000], "not a"),
        ("spiece.model", SPIECE[: SPIECE.index(b"\x0a\x0e\x0a\x05[CLS]")], "not a whole"),
        ("spiece.model", edited_spiece(model_type=2), "SentencePiece BPE model"),
        ("spiece.model", edited_spiece(treat_whitespace_as_suffix=True), "marks the end of a word"),
        ("spiece.model", edited_spiece(unk_id=2), "no unknown piece at id 2"),
        ("spiece.model", edited_spiece(unk_id=-1), "no unknown piece at id -1"),
        (
            "spiece.model",
            scored(float("nan")),
            "damaged: vocab should be scores that are finite numbers",
        ),
        (
            "spiece.model",
            scored(float("-inf")),
            "damaged: vocab should be scores that are finite numbers",
        ),
        ("vocab.txt", b"", r"no line \[UNK\]"),
        ("vocab.txt", b"[PAD]\nword\n", r"no line \[UNK\]"),
        ("vocab.txt", b"[UNK]\n\xff\xfe\n", "not readable UTF-8"),
        ("tokenizer.json", b"", "not readable JSON"),
        ("tokenizer.json", b'{"model": {"type": "Unigram"}}', r"model\.vocab is missing"),
        ("tokenizer.json", b"\xff", "not a tokenizer"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_tokenizer(tmp_path)
    assert name in str(caught.value)
    assert caught.value.tip


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"tokenizer_config": {"auto_map": {"AutoTokenizer": "x.Y"}}}, "auto_map"),
    ({"tokenizer_config": {"tokenizer_class": "XLNetTokenizer"}}, "XLNetTokenizer, which cannot"),
    ({"tokenizer_config": {"do_lower_case": "yes"}}, "do_lower_case"),
    ({"tokenizer_config": {"mask_token": 5}}, "mask_token"),
    ({"tokenizer_config": {"mask_token": {"lstrip": True}}}, "mask_token"),
    ({"tokenizer_config": {"mask_token": {"content": "", "lstrip": 1}}}, "mask_token"),
    ({"tokenizer_config": {"sep_token": None}}, "sep_token"),
    ({"tokenizer_config": {"model_input_names": "input_ids"}}, "model_input_names"),
    ({"tokenizer_config": {"additional_special_tokens": "<a>"}}, "additional_special"),
    ({"tokenizer_config": {"added_tokens_decoder": ["<a>"]}}, "added_tokens_decoder"),
    ({"tokenizer_config": ["list"]}, "not a JSON object"),
    ({"added_tokens": {"<a>": "21128"}}, "added_tokens.json"),
    ({"added_tokens": {"<a>": 30000}}, "should have id 30000"),
]


@pytest.mark.parametrize(("files", "message"), MALFORMED)
def test_malformed_settings_are_refused(
    tmp_path: Path, files: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(Folder("", ("words",), files).write(tmp_path))


@pytest.mark.parametrize("base", ["words", "wordpiece"])
@pytest.mark.parametrize("file", ["tokenizer_config", "config"])
def test_a_morphological_analyser_is_refused(base: str, file: str, tmp_path: Path) -> None:
    """Also beside a tokenizer.json, which transformers does not read for this class."""
    files = {file: {"tokenizer_class": "BertJapaneseTokenizer"}}
    with pytest.raises(CheckpointError, match=r"morphological analyser \(MeCab") as caught:
        read_tokenizer(Folder("", (base,), files).write(tmp_path))
    assert "token ids" in caught.value.tip
    assert "albert_edge.Session" in caught.value.tip


def test_remote_code_beside_tokenizer_json_is_refused(tmp_path: Path) -> None:
    folder = FOLDERS["wordpiece-saved"].write(tmp_path)
    (folder / "tokenizer_config.json").write_text('{"auto_map": ["x.Y", null]}')
    with pytest.raises(CheckpointError, match="auto_map"):
        read_tokenizer(folder)
