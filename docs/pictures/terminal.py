"""Record a command in a pseudo-terminal, and draw the screen as SVG."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

WIDTH, HEIGHT = 96, 240
# uv warns about the environment of another project.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
ENVIRONMENT |= {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"}
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas"
NAMED = ["black", "red", "green", "brown", "blue", "magenta", "cyan", "white"]
THEME = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)


@dataclass(frozen=True)
class Answer:
    """Keys to send once a text is on the screen."""

    prompt: str
    keys: str = "\r"


@dataclass
class Recorder:
    """A terminal in a folder, which the pictures show as the home folder."""

    folder: Path
    lines: list[Text] = field(default_factory=list)

    def run(
        self,
        command: str,
        *,
        shown: str | None = None,
        answers: Sequence[Answer] = (),
        until: str = "",
    ) -> None:
        """Run a command to its end, or until a pattern is printed, and keep what it shows."""
        self.lines.append(Text.assemble(("$ ", "bold green"), (shown or command, "bold")))
        self.lines += self._play(command, answers, until)

    def _play(self, command: str, answers: Sequence[Answer], until: str) -> list[Text]:
        screen = pyte.Screen(WIDTH, HEIGHT)
        stream = pyte.ByteStream(screen)
        child = pexpect.spawn(
            "bash",
            ["--noprofile", "--norc", "-c", command],
            cwd=str(self.folder),
            env=ENVIRONMENT,
            dimensions=(HEIGHT, WIDTH),
            timeout=180,
        )

        def expect(pattern: object) -> None:
            child.expect(pattern)
            stream.feed(child.before + (child.after if isinstance(child.after, bytes) else b""))

        for answer in answers:
            expect(re.escape(answer.prompt))
            child.send(answer.keys)
        expect(until or pexpect.EOF)
        child.terminate(force=True)
        return self._texts(screen)

    def _texts(self, screen: pyte.Screen) -> list[Text]:
        lines = []
        for row in range(HEIGHT):
            line = Text()
            for column in range(WIDTH):
                cell = screen.buffer[row][column]
                # Few fixed-width fonts have emoji.
                data = cell.data if cell.data < "\U00010000" else "? "
                line.append(data, Style(color=color(cell.fg), bold=cell.bold))
            line.rstrip()
            lines.append(self._hide_folder(line))
        while lines and not lines[-1].plain:
            lines.pop()
        return lines

    def _hide_folder(self, line: Text) -> Text:
        """Show the temporary folder as the home folder."""
        folder = str(self.folder)
        while folder in line.plain:
            start = line.plain.index(folder)
            line = Text.assemble(line[:start], "~", line[start + len(folder) :])
        return line

    def shorten(self, pattern: str, keep: int) -> None:
        """Replace all but the first lines that match a pattern by a line with their number."""
        matching = [line for line in self.lines if re.search(pattern, line.plain)]
        omitted = {id(line) for line in matching[keep:]}
        if omitted:
            matching[keep].plain = f"      ... {len(omitted)} more files"
            matching[keep].spans = []
            omitted.discard(id(matching[keep]))
            self.lines = [line for line in self.lines if id(line) not in omitted]

    def draw(self, path: Path, title: str) -> None:
        """Write what has been recorded as SVG."""
        with open(os.devnull, "w") as nowhere:
            console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
            for line in self.lines:
                console.print(line, soft_wrap=False, highlight=False)
            svg = console.export_svg(title=title, theme=THEME, unique_id=path.stem)
        # The image must not load a font from the network.
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code", FONT)
        path.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M))


def color(name: str) -> str | None:
    """Return rich's name of a colour of pyte's."""
    if name == "default":
        return None
    if name in NAMED:
        return f"color({NAMED.index(name)})"
    if name.startswith("bright"):
        return f"color({NAMED.index(name.removeprefix('bright'))})"
    return f"#{name}"
