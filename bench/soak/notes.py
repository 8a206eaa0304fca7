"""Documents of one client: what it writes next, and what it was told is stored."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from bench.soak.package import WIDTH

WORDS = (
    "river stone light green winter paper garden copper silent market window thunder island honey"
    " mirror forest candle harbor meadow planet ribbon shadow timber velvet willow saddle"
).split()
YEARS = range(1950, 2030)

Fields = dict[str, Any]


@dataclass
class Notes:
    """The notes of a client; name → fields as last acknowledged, None once removed.

    Every text begins with a word of its own, by which a search finds this version and no other.
    """

    owner: str
    names: int
    chance: random.Random
    stored: dict[str, Fields | None] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    serial: int = 0

    def any_name(self) -> str:
        """One of the names, stored or not."""
        return f"{self.owner}n{self.chance.randrange(self.names)}"

    def living(self) -> dict[str, Fields]:
        """What is stored."""
        return {name: fields for name, fields in self.stored.items() if fields is not None}

    def fresh(self, name: str) -> Fields:
        """New content for a note."""
        return {
            "name": name,
            "owner": self.owner,
            "year": self.chance.choice(YEARS),
            "tags": self.chance.sample(WORDS, self.chance.randrange(3)),
            "text": self.text(name),
            "vector": self.vector(),
        }

    def text(self, name: str) -> str:
        """A text whose first word is used once."""
        self.serial += 1
        words = self.chance.choices(WORDS, k=self.chance.randint(5, 60))
        return " ".join([f"{name}v{self.serial}", *words])

    def vector(self) -> list[float]:
        """Values that a float holds exactly, so that what comes back is equal."""
        return [self.chance.randrange(-64, 65) / 64 for _ in range(WIDTH)]

    def change(self, name: str) -> tuple[Fields, Fields]:
        """A partial update of a stored note, as it is sent; and the note after it."""
        after = dict(self.stored.get(name) or {})
        sent: Fields = {}
        for what in self.chance.sample(("year", "tags", "text", "vector"), 2):
            if what == "year" and "year" in after:
                sent["year"] = {"increment": 1}
                after["year"] += 1
            elif what == "tags":
                word = self.chance.choice(WORDS)
                many = len(after.get("tags", ())) > 5
                sent["tags"] = {"assign": [word]} if many else {"add": [word]}
                after["tags"] = [word] if many else [*after.get("tags", ()), word]
            else:
                new = self.text(name) if what == "text" else self.vector()
                value = self.chance.choice(YEARS) if what == "year" else new
                sent[what] = {"assign": value}
                after[what] = value
        return sent, after

    def acknowledged(self, name: str, fields: Fields | None) -> None:
        """Keep what the server said is stored now."""
        before = self.stored.get(name)
        if before and before["text"] != (fields or {}).get("text"):
            self.gone[name] = first_word(before)
        self.stored[name] = fields

    def lost_track(self, name: str) -> None:
        """Forget a note of which a failed write left open what it is."""
        self.stored.pop(name, None)
        self.gone.pop(name, None)


def first_word(fields: Fields) -> str:
    """The word that only this version of a note has."""
    return str(fields["text"]).partition(" ")[0]


def shown(fields: Fields) -> Fields:
    """Fields as the server shows them, in the form in which they were written.

    A tensor is an object with its values; an empty array is not there.
    """
    plain = {"tags": [], **fields}
    if isinstance(plain.get("vector"), dict):
        plain["vector"] = plain["vector"]["values"]
    return plain
