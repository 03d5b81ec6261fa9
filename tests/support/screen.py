"""A screen in memory, with a keyboard: programs with windows run on it as on any other."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tkinter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageGrab

from support.script import wait_for

needs_screen = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")),
    reason="needs Xvfb and xdotool; `make screen` installs them",
)


class Screen:
    """What a person does and sees in front of a screen with one program.

    Attributes:
        display: Its name, for DISPLAY.
    """

    def __init__(self, display: str) -> None:
        self.display = display

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(
            ["xdotool", *arguments],
            env={**os.environ, "DISPLAY": self.display},
            capture_output=True,
            encoding="utf-8",
        )
        return done.stdout.strip()

    def titles(self) -> list[str]:
        """The titles of all windows."""
        windows = self._xdotool("search", "--onlyvisible", "--name", ".").split()
        return [self._xdotool("getwindowname", window) for window in windows]

    def wait_for_title(self, *titles: str) -> str:
        """Wait until a window with one of these titles has the keyboard; give it if none has it.

        Returns:
            Its title.
        """
        wait_for(lambda: bool({*titles} & {*self.titles()}))
        (title,) = {*titles} & {*self.titles()}
        if not self._focused():
            self._xdotool("search", "--name", f"^{title}$", "windowfocus", "--sync")
        wait_for(lambda: self._focused() == title)
        return title

    def _focused(self) -> str:
        return self._xdotool("getwindowfocus", "getwindowname")

    def press(self, *keys: str) -> None:
        """Press keys or chords, such as "ctrl+s", one after the other."""
        self._xdotool("key", *keys)

    def type(self, text: str) -> None:
        """Type an ASCII text."""
        self._xdotool("type", "--delay", "2", text)

    def clipboard(self) -> str:
        """What was copied last; "" if nothing was."""
        root = tkinter.Tk(screenName=self.display)
        try:
            root.withdraw()
            return root.clipboard_get()
        except tkinter.TclError:
            return ""
        finally:
            root.destroy()

    def picture(self) -> Image.Image:
        """A screenshot, without the empty screen around the windows."""
        whole = ImageGrab.grab(xdisplay=self.display)
        return whole.crop(whole.getbbox())


@contextlib.contextmanager
def open_screen() -> Iterator[Screen]:
    """Start a screen of 1000 x 760 pixels; it ends with the block."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1000x760x24", "-dpi", "96"]
    with subprocess.Popen(
        command, pass_fds=[writing], stderr=subprocess.DEVNULL, cwd=Path("/")
    ) as server:
        os.close(writing)
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        try:
            yield Screen(f":{number}")
        finally:
            server.terminate()
