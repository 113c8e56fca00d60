"""Draw the ratios as bars, in SVG."""

from xml.sax.saxutils import escape

from .calls import WHO, Seconds, ratios

HEX = ("#9aa0a6", "#3c4043", "#70757a", "#1a73e8", "#8ab4f8", "#f29900", "#d93025", "#188038")
COLORS = dict(zip(WHO, HEX, strict=True))
LEFT, BAR, PANEL, MOST = 230, 11, 330, 2.5
STYLE = "font-family='sans-serif' font-size='11'"


def draw(seconds: Seconds, places: list[str], note: str) -> str:
    """Return a panel for each place: a bar for each subject, its length the ratio to `hand`.

    Below them, `note` has a line for each of its parts, which semicolons separate.
    """
    parts: list[str] = []
    y = 60
    for operation, subjects in seconds[places[0]].items():
        parts.append(text(10, y + 10, operation))
        for who in sorted(subjects, key=WHO.index):
            for number, place in enumerate(places):
                x = LEFT + number * PANEL
                measured = seconds[place][operation]
                ratio = ratios(measured[who], measured["hand"])[0]
                width = min(ratio, MOST) / MOST * (PANEL - 60)
                size = f"width='{width:.0f}' height='{BAR - 2}'"
                parts.append(f"<rect x='{x}' y='{y}' {size} fill='{COLORS[who]}'/>")
                parts.append(text(int(x + width + 4), y + 9, f"{ratio:.2f}"))
            y += BAR
        y += 10
    for number, place in enumerate(places):
        parts.append(text(LEFT + number * PANEL, 45, place))
    for number, (who, color) in enumerate(COLORS.items()):
        x = 10 + number * 150
        parts.append(f"<rect x='{x}' y='12' width='10' height='10' fill='{color}'/>")
        parts.append(text(x + 14, 21, who))
    for line in note.split("; "):
        y += 14
        parts.append(text(10, y - 4, line))
    return frame(parts, LEFT + PANEL * len(places), y + 6)


def frame(parts: list[str], width: int, height: int) -> str:
    """Return an image of these elements on white."""
    opening = f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}'>"
    background = f"<rect width='{width}' height='{height}' fill='white'/>"
    return "\n".join([opening, background, *parts, "</svg>\n"])


def text(x: int, y: int, content: str, color: str = "#5f6368") -> str:
    return f"<text x='{x}' y='{y}' {STYLE} fill='{color}'>{escape(content)}</text>"
