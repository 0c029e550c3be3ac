"""Reading answers as HTML: elements, ids, what must not occur, and whether tags are balanced."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset(["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"])

_INLINE = frozenset(["a", "b", "code", "em", "i", "kbd", "span", "strong", "time"])


@dataclass
class Element:
    """A start tag with its attributes and the text inside it."""

    tag: str
    attributes: dict[str, str]
    pieces: list[str] = field(repr=False, compare=False)
    begin: int
    end: int | None = None

    @property
    def text(self) -> str:
        """All text between its tags."""
        return "".join(self.pieces[self.begin : self.end])


@dataclass
class Page(HTMLParser):
    """All elements in order; `faults` tells unbalanced tags, double ids and inline styles or handlers."""

    html: str
    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self._pieces: list[str] = []
        self.feed(self.html)
        self.close()
        self.faults += [f"<{one.tag}> is never closed" for one in self._open]
        ids = Counter(one.attributes["id"] for one in self.elements if one.attributes.get("id"))
        self.faults += [f"id {name} occurs {times} times" for name, times in ids.items() if times > 1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _INLINE:
            self.handle_data(" ")
        element = Element(tag, {name: value or "" for name, value in attrs}, self._pieces, len(self._pieces))
        self.elements.append(element)
        for name in element.attributes:
            if name == "style" or name.startswith("on"):
                self.faults.append(f"<{tag}> has {name}=")
        if tag not in _VOID:
            self._open.append(element)
        else:
            element.end = element.begin

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._shut()

    def _shut(self) -> None:
        self._open.pop().end = len(self._pieces)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1].tag if self._open else 'nothing'}")
            return
        self._shut()
        if tag not in _INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        self._pieces.append(data)

    def all(self, tag: str | None = None, **wanted: str) -> list[Element]:
        """Elements of a tag whose attributes contain these words (`class_` for class, `_` for `-`)."""
        names = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [
            one
            for one in self.elements
            if (tag is None or one.tag == tag)
            and all(value in one.attributes.get(name, "\0").split(" ") for name, value in names.items())
        ]

    def one(self, tag: str | None = None, **wanted: str) -> Element:
        """The only such element."""
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} elements {tag} {wanted}"
        return found[0]

    def text(self, tag: str | None = None, **wanted: str) -> str:
        """The text of the only such element, white space folded."""
        return " ".join(self.one(tag, **wanted).text.split())
