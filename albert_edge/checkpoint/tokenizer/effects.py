"""What a tokenizer does to texts, in words, and whether it can be what the model was trained with.

A vocabulary shows how it was made: one with capitals was trained on cased text, one with vowel
signs on text that kept them. A normalizer that removes these makes different words equal, and
the model sees neither of them as in training.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from tokenizers import Tokenizer

from albert_edge.checkpoint.tokenizer.normalization import Overrides
from albert_edge.checkpoint.tokenizer.settings import Settings
from albert_edge.errors import Argument, Message

_MEANINGS = {
    "keep_accents": {True: "accents are kept", False: "accents are stripped"},
    "lowercase": {True: "texts are lower-cased", False: "case is kept"},
}
# Two words of each script that differ in a mark, for vocabularies made from texts without marks.
_TWO_WORDS = {
    "ARABIC": ("آن", "ان"),
    "BENGALI": ("কুল", "কল"),
    "CYRILLIC": ("мой", "мои"),
    "DEVANAGARI": ("कुल", "कल"),
    "GUJARATI": ("કુલ", "કલ"),
    "GURMUKHI": ("ਕੁਲ", "ਕਲ"),
    "HIRAGANA": ("が", "か"),
    "KANNADA": ("ಕುಲ", "ಕಲ"),
    "KATAKANA": ("パン", "ハン"),
    "MALAYALAM": ("കുല", "കല"),
    "TAMIL": ("குடி", "கடி"),
    "TELUGU": ("కుల", "కల"),
    "THAI": ("ปู่", "ปู"),
}
_SHARE_OF_SCRIPT = 0.1
# A few odd pieces are in every vocabulary.
_SHARE_OF_CASED = 0.01
_FEW = 3


def describe(tokenizer: Tokenizer) -> str:
    """Say in one line what a tokenizer does, such as "lower-cases, strips accents"."""
    lowercase = "lower-cases" if lowercases(tokenizer) else "keeps case"
    accents = "keeps accents" if keeps_accents(tokenizer) else "strips accents"
    added = tokenizer.get_vocab_size(True) - tokenizer.get_vocab_size(False)
    tokens = f", adds {added} {'token' if added == 1 else 'tokens'}" if added else ""
    types = "" if any(tokenizer.encode("a", "b").type_ids) else ", gives no token types"
    return f"{lowercase}, {accents}{tokens}{types}"


def find_contradictions(
    tokenizer: Tokenizer, settings: Settings, overrides: Overrides
) -> list[Message]:
    """Find settings that do not say what a tokenizer does, and that no option corrects.

    transformers 4 ignores them beside a tokenizer.json, unless its class and normalizer are BERT's.
    """
    said = {
        "keep_accents": (settings.config.flag("keep_accents", None), keeps_accents(tokenizer)),
        "lowercase": (settings.config.flag("do_lower_case", None), lowercases(tokenizer)),
    }
    return [
        Message(
            f"tokenizer_config.json says that {_MEANINGS[option][value]}, but tokenizer.json does "
            "the opposite, which counts in transformers 4. To have it otherwise, export with ",
            Argument(option, value),
            ".",
        )
        for option, (value, fact) in said.items()
        if value not in (None, fact) and getattr(overrides, option) is None
    ]


def find_unknown(tokenizer: Tokenizer, settings: Settings) -> list[Message]:
    """Find tokens that the model has no embedding for."""
    size = settings.model.number("vocab_size", None)
    added = tokenizer.get_added_tokens_decoder()
    if size is None or max(added, default=0) < size:
        return []
    beyond = [str(token) for at, token in sorted(added.items()) if at >= size]
    return [
        Message(
            f"The model has {size:,.0f} embeddings, none for {', '.join(map(repr, beyond))}; a "
            "text with one of these is refused."
        )
    ]


def lowercases(tokenizer: Tokenizer) -> bool:
    """Return whether it makes capitals small."""
    return _normalize(tokenizer, "A") == "a"


def keeps_accents(tokenizer: Tokenizer) -> bool:
    """Return whether it leaves accents in place, composed or not."""
    return _normalize(tokenizer, "é") != "e"


def find_losses(tokenizer: Tokenizer) -> list[Message]:
    """Find what normalization takes from the words of the vocabulary.

    Returns:
        A warning where distinct words become one because letters lose marks, in the vocabulary or
        else in its script, and one where many words lose their capitals.
    """
    words = _words(tokenizer)
    # Most words are lower-case ASCII, which nothing changes.
    forms = {
        word: _normalize(tokenizer, word)
        for word in words
        if not (word.isascii() and word == word.lower())
    }
    cased = [word for word, form in forms.items() if word != form == word.lower()]
    marked = [word for word, form in forms.items() if form not in (word, word.lower())]
    warnings = []
    if len(marked) > _FEW and not keeps_accents(tokenizer):
        warnings.append(
            Message(
                f"The tokenizer strips marks that {len(marked):,} of the {len(words):,} words in "
                f"its vocabulary have: {_example(marked, forms, words)}. If the model was trained "
                "with them, export with ",
                Argument("keep_accents", True),
                ".",
            )
        )
    else:
        warnings += _losses_of_script(tokenizer, words)
    if len(cased) > max(_FEW, _SHARE_OF_CASED * len(words)):
        warnings.append(
            Message(
                f"The tokenizer lower-cases, but {len(cased):,} of the {len(words):,} words in its "
                f"vocabulary have capitals: {_example(cased, forms, words)}. If the model was "
                "trained with them, export with ",
                Argument("lowercase", False),
                ".",
            )
        )
    return warnings


def _losses_of_script(tokenizer: Tokenizer, words: Collection[str]) -> list[Message]:
    """Find a script of the vocabulary in which two words become one."""
    scripts = Counter(unicodedata.name(word[0], "").partition(" ")[0] for word in words)
    for script, (first, second) in _TWO_WORDS.items():
        form = _normalize(tokenizer, first)
        is_own = scripts[script] >= _SHARE_OF_SCRIPT * len(words)
        if is_own and form == _normalize(tokenizer, second):
            return [
                Message(
                    f"The tokenizer strips marks that words of its script differ in: {first} and "
                    f"{second} both become {form}. If the model was trained with them, export "
                    "with ",
                    Argument("keep_accents", True),
                    ".",
                )
            ]
    return []


def _normalize(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.normalizer.normalize_str(text).strip() if tokenizer.normalizer else text


def _words(tokenizer: Tokenizer) -> set[str]:
    """Return the pieces with letters, without what marks a piece as the start of a word."""
    added = {str(token) for token in tokenizer.get_added_tokens_decoder().values()}
    pieces = tokenizer.get_vocab(with_added_tokens=False).keys() - added
    words = (piece.removeprefix("##").replace("▁", "") for piece in pieces)
    return {word for word in words if any(map(str.isalpha, word))}


def _example(changed: Iterable[str], forms: dict[str, str], words: set[str]) -> str:
    """Name two words that become one, or a word that becomes something else."""
    by_form: dict[str, list[str]] = defaultdict(list)
    for word in sorted(changed, key=lambda word: (-len(word), word)):
        by_form[forms[word]].append(word)
    for form, sources in by_form.items():
        alike = [*sources, form] if form in words else sources
        if len(alike) > 1:
            return f"{alike[0]} and {alike[1]} both become {form}"
    word = min(changed)
    if unicodedata.normalize("NFC", forms[word]) == word:
        return f"{word} is taken apart into {' + '.join(forms[word])}"
    return f"{word} becomes {forms[word]}"
