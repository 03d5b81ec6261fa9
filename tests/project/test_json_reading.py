"""JSON is parsed in one place; the others are listed with their reasons."""

from __future__ import annotations

from pathlib import Path

import albert_edge

PACKAGE = Path(albert_edge.__file__).parent
ELSEWHERE = {
    "cli/predict.py": "the value of an option, which may be plain text",
    "json_fields.py": "the reader",
    "labelling/answer_log.py": "a line per answer, of which the last may be cut off",
    "machine/probe.py": "the answer of its own subprocess",
    "records/formats.py": "the first line of an input, which may be in any format",
    "records/json_lines.py": "a record per line, checked by its own fields and named by its number",
    "runtime/tasks/sentence_settings.py": "the state of an object of tokenizers",
}


def test_json_is_parsed_by_one_reader() -> None:
    parsing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "json.load" in path.read_text(encoding="utf-8")
    }
    assert parsing == set(ELSEWHERE)
