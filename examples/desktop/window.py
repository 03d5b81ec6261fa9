"""The window: what is typed goes to the worker, what the worker reports is shown."""

from __future__ import annotations

import queue
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten
from tkinter import filedialog, ttk

from answers import Answer, Row, write_answers
from worker import Answered, Event, Failed, FileJob, Opened, Worker

POLL_MS = 15
# A table with more lines would be slow to draw; the saved file has all.
LINES_SHOWN = 1000
PAPER, SHADE, LINE, INK, FAINT = "#ffffff", "#eceef2", "#d4d7dd", "#1c1f24", "#6b7280"
ACCENT, ALARM = "#3f51b5", "#b00020"


class Window:
    """The program's only window."""

    def __init__(self) -> None:
        self.root = tk.Tk()
        self.root.title("ALBERT")
        self.root.geometry("780x480")
        self.root.minsize(560, 420)
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.worker = Worker(self.events.put)
        self.opened: Opened | None = None
        self.answer = Answer([], "")
        self.job: FileJob | None = None
        self._style()
        self._build()
        self._bind()

    def run(self) -> None:
        self._poll()
        self.root.mainloop()

    def close(self) -> None:
        self.worker.close()
        self.root.destroy()

    def open_model(self, path: str) -> None:
        self._say(f"Opening {path} ...")
        self.worker.open(path)

    # --- looks ------------------------------------------------------------------------------

    def _style(self) -> None:
        style = ttk.Style()
        if self.root.tk.call("tk", "windowingsystem") == "x11":  # others have looks of their own
            style.theme_use("clam")
            self.root.configure(background=PAPER)
            style.configure(".", background=PAPER, foreground=INK, bordercolor=LINE)
            style.configure(".", lightcolor=PAPER, darkcolor=PAPER, troughcolor=SHADE)
            style.map("TButton", background=[("disabled", PAPER), ("active", SHADE)])
            style.map("TScrollbar", background=[("disabled", PAPER)])
            style.map("TCombobox", fieldbackground=[("readonly", PAPER)])
            style.map("TCombobox", selectbackground=[("readonly", PAPER)])
            style.map("TCombobox", selectforeground=[("readonly", INK)])
            style.map("TNotebook.Tab", background=[("!selected", SHADE)])
            style.configure("Horizontal.TProgressbar", background=ACCENT, borderwidth=0)
        style.configure("Treeview", rowheight=26)
        style.configure("Best.TLabel", font=("TkDefaultFont", 20, "bold"))
        style.configure("Faint.TLabel", foreground=FAINT)
        style.configure("Error.TLabel", foreground=ALARM)

    def _build(self) -> None:
        frame = ttk.Frame(self.root, padding=12)
        frame.pack(fill="both", expand=True)
        self._build_model(frame).pack(fill="x")
        self.status = ttk.Label(frame)
        self._say("Open a model: Ctrl+O.")
        self.status.pack(fill="x", side="bottom", pady=(8, 0))
        frame.bind("<Configure>", lambda event: self.status.config(wraplength=event.width - 24))
        self.tabs = ttk.Notebook(frame)
        self.tabs.pack(fill="both", expand=True, pady=(12, 0))
        self.tabs.add(self._build_text(self.tabs), text="Text", underline=0)
        self.tabs.add(self._build_file(self.tabs), text="File", underline=0)
        self.tabs.enable_traversal()  # Ctrl+Tab, Alt+T, Alt+F

    def _build_model(self, parent: ttk.Frame) -> ttk.Frame:
        bar = ttk.Frame(parent)
        ttk.Label(bar, text="Model").pack(side="left", padx=(0, 6))
        self.models = ttk.Combobox(bar, state="readonly")
        self.models.pack(side="left", fill="x", expand=True)
        button = ttk.Menubutton(bar, text="Open", width=6)
        menu = button["menu"] = tk.Menu(button, tearoff=False)
        menu.add_command(label="Bundle ...", command=self.choose_bundle, accelerator="Ctrl+O")
        menu.add_command(label="Packed file ...", command=self.choose_packed, accelerator="Ctrl+P")
        button.pack(side="left", padx=6)
        ttk.Label(bar, text="Precision").pack(side="left", padx=(12, 6))
        self.precisions = ttk.Combobox(bar, state="readonly", width=12)
        self.precisions.pack(side="left")
        return bar

    def _build_text(self, parent: ttk.Notebook) -> ttk.Frame:
        tab = ttk.Frame(parent, padding=12)
        self.text = tk.Text(tab, height=4, wrap="word", undo=True, relief="flat", borderwidth=0)
        self.text.configure(font="TkTextFont", padx=8, pady=6, highlightthickness=1)
        self.text.configure(highlightbackground=LINE, highlightcolor=ACCENT)
        self.text.pack(fill="x")
        line = ttk.Frame(tab)
        ttk.Button(line, text="Copy answer", command=self.copy_answer).pack(side="right")
        self.time = ttk.Label(line, style="Faint.TLabel")
        self.time.pack(side="right", padx=12)
        self.best = ttk.Label(line, style="Best.TLabel")
        self.best.pack(side="left")
        line.pack(fill="x", pady=8)
        self.answers = _table(tab, answer=160, score=70, about=220)
        self.answers.heading("about", text="")
        return tab

    def _build_file(self, parent: ttk.Notebook) -> ttk.Frame:
        tab = ttk.Frame(parent, padding=12)
        bar = ttk.Frame(tab)
        bar.pack(fill="x", pady=(0, 8))
        ttk.Button(bar, text="Open texts ...", command=self.choose_file).pack(side="left")
        self.progress = ttk.Progressbar(bar, maximum=1.0)
        self.progress.pack(side="left", fill="x", expand=True, padx=8)
        self.cancel = ttk.Button(bar, text="Cancel", command=self.worker.cancel, state="disabled")
        self.cancel.pack(side="left")
        self.save = ttk.Button(bar, text="Save ...", command=self.save_answers, state="disabled")
        self.save.pack(side="left", padx=(6, 0))
        self.lines = _table(tab, text=320, answer=120, score=70)
        return tab

    def _bind(self) -> None:
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        key = "Command" if self.root.tk.call("tk", "windowingsystem") == "aqua" else "Control"
        shortcuts: dict[str, Callable[[], object]] = {
            "o": self.choose_bundle,
            "p": self.choose_packed,
            "t": self.choose_file,
            "s": self.save_answers,
            "q": self.close,
            "C": self.copy_answer,  # with Shift
        }
        for letter, command in shortcuts.items():
            sequence = f"<{key}-{letter}>"
            self.root.unbind_class("Text", sequence)  # there, Ctrl+O inserts a line
            self.root.bind(sequence, lambda event, run=command: run())  # type: ignore[misc]
        self.root.bind("<Escape>", lambda event: self.worker.cancel())
        self.text.bind("<<Modified>>", self._ask)
        self.text.bind("<Tab>", _next_field)
        self.models.bind("<<ComboboxSelected>>", lambda event: self.open_model(self.models.get()))
        self.precisions.bind("<<ComboboxSelected>>", self._change_precision)
        self.text.focus_set()

    # --- requests ---------------------------------------------------------------------------

    def choose_bundle(self) -> None:
        if path := filedialog.askdirectory(title="Open a bundle", mustexist=True):
            self.open_model(path)

    def choose_packed(self) -> None:
        types = [("Packed bundles", "*.albert")]
        if path := filedialog.askopenfilename(title="Open a packed file", filetypes=types):
            self.open_model(path)

    def choose_file(self) -> None:
        if path := filedialog.askopenfilename(title="Open texts"):
            self.lines.delete(*self.lines.get_children())
            self.tabs.select(1)  # type: ignore[no-untyped-call]
            self.worker.ask_file(Path(path))

    def save_answers(self) -> None:
        if self.job and self.job.ended:
            path = filedialog.asksaveasfilename(title="Save answers", defaultextension=".csv")
            if path:
                try:
                    write_answers(Path(path), self.job.answers)
                except OSError as error:
                    self._say(f"{path} cannot be written: {error.strerror}.", is_error=True)
                else:
                    self._say(f"Saved {len(self.job.answers)} answers to {path}.")

    def copy_answer(self) -> None:
        self.root.clipboard_clear()
        lines = (f"{row.label}\t{_number(row.score)}" for row in self.answer.rows)
        self.root.clipboard_append("\n".join(lines))

    def _text(self) -> str:
        return self.text.get("1.0", "end-1c")

    def _ask(self, event: object = None) -> None:
        self.text.edit_modified(False)
        self.worker.ask(self._text())

    def _change_precision(self, event: object) -> None:
        if self.opened:
            self.worker.open(self.opened.path, self.precisions.get())

    # --- events -----------------------------------------------------------------------------

    def _poll(self) -> None:
        """Show what the worker reported; only this thread may touch the window."""
        while not self.events.empty():
            self._show(self.events.get())
        self.root.after(POLL_MS, self._poll)

    def _show(self, event: Event) -> None:
        match event:
            case Opened():
                self._show_model(event)
            case Answered() if event.text == self._text():  # else a newer one is on its way
                self.answer = event.answer
                self.best.config(text=shorten(event.answer.summary, 40, placeholder=" ..."))
                self.time.config(text=f"{event.milliseconds:.1f} ms")
                self.answers.delete(*self.answers.get_children())
                for row in event.answer.rows:
                    values = (row.label, _number(row.score), row.part or _bar(row))
                    self.answers.insert("", "end", values=values)
                self._say("")
            case FileJob():
                self._show_file(event)
            case Failed():
                self._say(f"{event.message} {event.tip}".strip(), is_error=True)
                if self.opened:  # a model that does not open leaves the earlier one
                    self._show_choice(self.opened)

    def _show_model(self, opened: Opened) -> None:
        self.opened = opened
        self._show_choice(opened)
        self.root.title(f"{Path(opened.path).name} {opened.precision} - ALBERT")
        self._say(f"{opened.task}, {opened.precision}: type a text.")
        self._ask()

    def _show_choice(self, opened: Opened) -> None:
        self.models["values"] = list(dict.fromkeys([*self.models["values"], opened.path]))
        self.models.set(opened.path)
        self.precisions["values"] = opened.precisions
        self.precisions.set(opened.precision)

    def _show_file(self, job: FileJob) -> None:
        self.job = job
        shown = len(self.lines.get_children())
        for text, answer in job.answers[shown:LINES_SHOWN]:
            values = (text, answer.summary, _number(answer.score))
            self.lines.insert("", "end", values=values)
        self.progress["value"] = job.fraction
        self.cancel.config(state="disabled" if job.ended else "normal")
        self.save.config(state="normal" if job.ended else "disabled")
        whole = "" if job.fraction == 1 or not job.ended else ", cancelled"
        self._say(f"{job.path.name}: {len(job.answers)} answers{whole}.")

    def _say(self, message: str, *, is_error: bool = False) -> None:
        self.status.config(text=message, style="Error.TLabel" if is_error else "Faint.TLabel")


def _table(parent: ttk.Frame, **widths: int) -> ttk.Treeview:
    """A table with these columns and a scroll bar that fills the rest of its parent."""
    frame = ttk.Frame(parent)
    frame.pack(fill="both", expand=True)
    table = ttk.Treeview(frame, columns=[*widths], show="headings", height=6)
    for name, width in widths.items():
        is_number = name == "score"
        table.heading(name, text=name.capitalize(), anchor="e" if is_number else "w")
        table.column(name, width=width, anchor="e" if is_number else "w", stretch=not is_number)
    bar = ttk.Scrollbar(frame, command=table.yview)
    table.configure(yscrollcommand=bar.set)
    bar.pack(side="right", fill="y")
    table.pack(fill="both", expand=True)
    return table


def _number(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"


def _bar(row: Row) -> str:
    return "\N{FULL BLOCK}" * round(20 * (row.score or 0))


def _next_field(event: tk.Event[tk.Text]) -> str:
    """Tab moves on, as in every other field, instead of indenting the text."""
    event.widget.tk_focusNext().focus()  # type: ignore[union-attr]
    return "break"
