"""Every error that albert-edge raises on purpose.

    AlbertEdgeError                 exit code 1
    ├── UsageError                  2   an invalid argument or combination of arguments
    │   └── UnknownArgumentError (TypeError)  an argument of an unknown name
    ├── ConfigError                 1   config.json is not an ALBERT that this package can build
    ├── CheckpointError             1   tensors or tokenizer files that do not fit the configuration
    ├── BundleError                 1   a missing, damaged or concurrently changed bundle
    ├── InputError (ValueError)     1   a text or array that the model cannot take
    │   └── RecordError             1   a record that cannot be read; the message names it
    ├── QualityError                3   answers too far from the reference
    ├── InstallationError           4   a package is broken, too old or only partly installed
    │   └── MissingExtraError       4   an optional dependency is not installed
    ├── DeviceError                 4   the requested device is not available
    └── SourceUnreachableError      5   the hub cannot be reached, or has no such model

Each carries what happened (`message`), what to do next (`remedy`), the argument (`option`)
and the file concerned (`where`). Messages name arguments and calls as data (`Argument`, `Call`):
`str(error)` and `error.tip` spell them in Python, and the command line spells them as flags.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, ClassVar


class Argument:
    """An argument of a public function in a message: `force=True`, or `--force` in a shell.

    Args:
        name: Its name in Python.
        *values: The value to pass; without one, the message only names the argument.
    """

    def __init__(self, name: str, *values: Any) -> None:
        self.name = name
        self.values = values


class Call:
    """A call of a public function in a message: `albert_edge.verify("b")`, or a shell command.

    Args:
        verb: The function, such as "export".
        *arguments: Positional arguments.
        **options: Keyword arguments; those that are None are left out.
    """

    def __init__(self, verb: str, *arguments: Any, **options: Any) -> None:
        self.verb = verb
        self.arguments = arguments
        self.options = {name: value for name, value in options.items() if value is not None}


Speller = Callable[[Argument | Call], str]


def spell_python(part: Argument | Call) -> str:
    """Spell an argument or a call as Python code.

    >>> spell_python(Argument("min_agreement", 0.9))
    'min_agreement=0.9'
    >>> spell_python(Call("quantize", "sst2", precision="int4"))
    'albert_edge.quantize("sst2", precision="int4")'
    """
    if isinstance(part, Argument):
        return "=".join([part.name, *map(_literal, part.values)])
    options = (f"{name}={_literal(value)}" for name, value in part.options.items())
    return f"albert_edge.{part.verb}({', '.join([*map(_literal, part.arguments), *options])})"


def _literal(value: Any) -> str:
    if isinstance(value, str | os.PathLike):
        return json.dumps(os.fspath(value), ensure_ascii=False)
    return "[...]" if isinstance(value, list | tuple) else repr(value)


class Message:
    """A text for people in which arguments and calls are data, so that each user reads their own.

    Args:
        *parts: Plain text, arguments, calls and other messages, joined without a separator.
    """

    def __init__(self, *parts: str | Argument | Call | Message) -> None:
        self.parts: tuple[str | Argument | Call, ...] = ()
        for part in parts:
            self.parts += part.parts if isinstance(part, Message) else (part,)

    def spell(self, speller: Speller = spell_python) -> str:
        """Return the text, with arguments and calls spelled by `speller`."""
        return "".join(part if isinstance(part, str) else speller(part) for part in self.parts)

    def __str__(self) -> str:
        return self.spell()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Message({self.spell()!r})"


class AlbertEdgeError(Exception):
    """Base of all errors of this package.

    Args:
        message: What went wrong, naming the file, tensor or argument.
        tip: What to do next; the attribute `remedy` keeps it as a `Message`.
        where: The file or folder concerned, if any.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str | Message,
        *,
        tip: str | Message,
        where: str | os.PathLike[str] | None = None,
    ) -> None:
        self.message = Message(message)
        self.remedy = Message(tip)
        self.where = None if where is None else os.fspath(where)
        super().__init__(str(self.message))
        self.add_note(f"Tip: {self.tip}")

    @property
    def tip(self) -> str:
        """What to do next, spelled in Python."""
        return str(self.remedy)

    @property
    def option(self) -> str | None:
        """The argument that the message is about, by its name in Python, or None."""
        arguments = (part for part in self.message.parts if isinstance(part, Argument))
        return next((argument.name for argument in arguments), None)

    def __reduce__(self) -> tuple[Any, ...]:  # else an error could not leave a worker process
        return type(self).__new__, (type(self), *self.args), self.__dict__


class UsageError(AlbertEdgeError):
    """An invalid argument or combination of arguments."""

    exit_code = 2


class UnknownArgumentError(UsageError, TypeError):
    """An argument of a name that does not exist; the message names the nearest that does."""


class ConfigError(AlbertEdgeError):
    """config.json is missing, malformed, out of range or not an ALBERT."""


class CheckpointError(AlbertEdgeError):
    """Tensors or tokenizer files are missing, damaged or do not fit the configuration."""


class BundleError(AlbertEdgeError):
    """The bundle folder is missing, damaged, or was changed by another process."""


class InputError(AlbertEdgeError, ValueError):
    """A text or an array that the model cannot take."""

    def at(self, place: str) -> InputError:
        """Return the error with the place of the item put before its message."""
        return InputError(Message(place, self.message), tip=self.remedy)


class RecordError(InputError):
    """A record of a file that cannot be read or lacks a required field."""


class QualityError(AlbertEdgeError):
    """A variant's answers are too far from the reference; a step that raises it writes nothing.

    Args:
        message: What is too far from what.
        tip: What to do next.
        report: What was measured, such as a `QuantizeReport`, or None.
    """

    exit_code = 3

    def __init__(self, message: str | Message, *, tip: str | Message, report: Any = None) -> None:
        super().__init__(message, tip=tip)
        self.report = report


class InstallationError(AlbertEdgeError):
    """A package that albert-edge needs is missing, broken, too old or only partly installed."""

    exit_code = 4


class MissingExtraError(InstallationError):
    """An optional dependency is not installed.

    Args:
        package: The distribution that could not be imported.
        extra: The extra of albert-edge that installs it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, *, extra: str, purpose: str | Message) -> None:
        super().__init__(
            Message(purpose, f" needs {package}, which is not installed."),
            tip=f"pip install 'albert-edge[{extra}]'",
        )
        self.extra = extra


class DeviceError(AlbertEdgeError):
    """The requested device or execution provider is not available."""

    exit_code = 4


class SourceUnreachableError(AlbertEdgeError):
    """The hub cannot be reached, or has no such model or revision."""

    exit_code = 5
