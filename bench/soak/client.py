"""One client: a request at a time, each answer compared with what it was told before."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from bench.soak.notes import WORDS, YEARS, Fields, Notes, first_word, shown
from bench.soak.record import Record

#: A client that is told so waits and comes again, as `vespa feed` does.
AGAIN = (429, 503)
TRIES = 20
#: Seconds without an answer that are a hang.
PATIENCE = 60.0
#: Of a query: on a busy machine an answer may take longer than the default of 500 ms.
TIMEOUT = "20s"
ROOT = "/document/v1/soak/note/docid/"
#: How often each kind is asked.
SHARES = {
    "put": 24,
    "update": 16,
    "remove": 8,
    "get": 16,
    "bm25": 12,
    "nearest": 10,
    "filter": 10,
    "visit": 2,
}


class Client:
    """Asks with its own connection; odd numbers speak HTTP/2 (prior knowledge), even ones 1.1."""

    def __init__(
        self, number: int, url: str, record: Record, notes: Notes, embeds: bool = False
    ) -> None:
        self._record = record
        self.notes = notes
        self._chance = random.Random(f"{notes.owner} asks")
        self._kinds = {**SHARES, **({"embed": 6} if embeds else {})}
        http2 = number % 2 == 1
        self._http = httpx.AsyncClient(
            base_url=url, http1=not http2, http2=http2, timeout=PATIENCE, trust_env=False
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self, until: float) -> None:
        """Ask at random until a time of `time.monotonic`."""
        while time.monotonic() < until:
            kind = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
            await getattr(self, f"_{kind}")()

    async def verify(self) -> None:
        """Every note is there as last acknowledged and a search finds it; what is gone is gone."""
        for name, fields in self.notes.stored.items():
            await self._compare(name, fields)
            if fields is not None:
                await self._finds(first_word(fields), [name])
                self._record.checked["stored"] += 1
            else:
                self._record.checked["removed"] += 1
        for old in self.notes.gone.values():
            await self._finds(old, [])
        await self._visit()

    async def _put(self) -> None:
        name = self.notes.any_name()
        fields = self.notes.fresh(name)
        await self._write("put", "POST", name, fields, fields)

    async def _update(self) -> None:
        name = self.notes.any_name()
        before = self.notes.stored.get(name)
        if before is None:
            fields = self.notes.fresh(name)
            sent = {key: {"assign": value} for key, value in fields.items()}
            await self._write("update", "PUT", name, sent, fields, {"create": "true"})
            return
        sent, after = self.notes.change(name)
        if self._chance.random() < 0.2:
            right = self._chance.random() < 0.5
            year = before["year"] if right else before["year"] + 1
            holds = {"condition": f"note.year == {year}"}
            await self._write("update", "PUT", name, sent, after if right else before, holds,
                              200 if right else 412)  # fmt: skip
            return
        await self._write("update", "PUT", name, sent, after)

    async def _remove(self) -> None:
        name = self.notes.any_name()
        await self._write("remove", "DELETE", name, None, None)

    async def _get(self) -> None:
        name = self.notes.any_name()
        await self._compare(name, self.notes.stored.get(name))

    async def _bm25(self) -> None:
        living = self.notes.living()
        if living and self._chance.random() < 0.5:
            name = self._chance.choice(list(living))
            await self._finds(first_word(living[name]), [name])
            return
        words = " ".join(self._chance.choices(WORDS, k=3))
        await self._search("bm25", "userQuery()", {"query": words})

    async def _nearest(self) -> None:
        near = "{targetHits:10}nearestNeighbor(vector, q)"
        await self._search(
            "nearest", near, {"ranking": "near", "input.query(q)": self.notes.vector()}
        )

    async def _embed(self) -> None:
        near = "{targetHits:10}nearestNeighbor(embedding, e)"
        words = " ".join(self._chance.choices(WORDS, k=4))
        asked = {"ranking": "meaning", "input.query(e)": "embed(@words)", "words": words}
        await self._search("embed", near, asked)

    async def _filter(self) -> None:
        low = self._chance.choice(YEARS)
        owner = self.notes.owner
        where = f'owner contains "{owner}" and year >= {low} and year < {low + 20}'
        root = await self._search("filter", where, {})
        living = self.notes.living().values()
        expected = sum(low <= fields["year"] < low + 20 for fields in living)
        if root is not None and root["fields"]["totalCount"] != expected:
            self._record.fault(f"filter {where}: {root['fields']['totalCount']} of {expected}")

    async def _visit(self) -> None:
        asked = {"selection": f'note.owner == "{self.notes.owner}"', "wantedDocumentCount": "1024"}
        found: dict[str, Fields] = {}
        while True:
            page = await self._ask("visit", "GET", ROOT, params=asked)
            if page is None:
                return
            for document in page["documents"]:
                found[document["fields"]["name"]] = shown(document["fields"])
            if "continuation" not in page:
                break
            asked["continuation"] = page["continuation"]
        living = self.notes.living()
        if found != living:
            wrong = [name for name in {*found, *living} if found.get(name) != living.get(name)]
            self._record.fault(f"visit of {self.notes.owner} differs at {wrong[:3]}")

    async def _write(
        self, kind: str, method: str, name: str, sent: Fields | None, after: Fields | None,
        asked: Mapping[str, str] | None = None, status: int = 200,
    ) -> None:  # fmt: skip
        body = None if sent is None else {"fields": sent}
        answer = await self._ask(kind, method, ROOT + name, body, asked, (status,))
        if answer is None:
            self.notes.lost_track(name)
        elif status == 200:
            self.notes.acknowledged(name, after)

    async def _compare(self, name: str, fields: Fields | None) -> None:
        expected = (404,) if fields is None else (200,)
        answer = await self._ask("get", "GET", ROOT + name, expected=expected)
        if answer is not None and fields is not None and shown(answer["fields"]) != fields:
            self._record.fault(f"get {name}: {answer['fields']} instead of {fields}")

    async def _finds(self, word: str, names: Sequence[str]) -> None:
        root = await self._search("bm25", f'text contains "{word}"', {})
        if root is None:
            return
        found = [hit["fields"]["name"] for hit in root.get("children", ())]
        if found != list(names):
            self._record.fault(f"a search for {word} finds {found} instead of {list(names)}")

    async def _search(self, kind: str, where: str, asked: Mapping[str, Any]) -> Any:
        yql = f"select name, year from note where {where}"
        body = {"yql": yql, "timeout": TIMEOUT, **asked}
        answer = await self._ask(kind, "POST", "/search/", body)
        if answer is None:
            return None
        root = answer["root"]
        scores = [hit["relevance"] for hit in root.get("children", ())]
        if "errors" in root or scores != sorted(scores, reverse=True):
            self._record.fault(f"{kind} {where}: {json.dumps(root)[:500]}")
        return root

    async def _ask(
        self, kind: str, method: str, path: str, body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None, expected: Sequence[int] = (200,),
    ) -> Any:  # fmt: skip
        """The answer's JSON; None where it failed, which is a fault."""
        content, headers = self._packed(body)
        pause = 0.02
        for _ in range(TRIES):
            began = time.perf_counter()
            try:
                answer = await self._http.request(
                    method, path, content=content, headers=headers, params=params
                )
            except httpx.HTTPError as error:
                self._record.fault(f"{kind}: {method} {path}: {error!r}")
                return None
            if answer.status_code not in AGAIN:
                break
            self._record.retries[answer.status_code] += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
        self._record.add(kind, time.perf_counter() - began)
        if answer.status_code not in expected:
            told, asked = answer.text[:300], f" {params}" if params else ""
            self._record.fault(f"{kind}: {method} {path}{asked}"
                               f" is {answer.status_code}, not {expected[0]}: {told}")  # fmt: skip
            return None
        return answer.json()

    def _packed(self, body: Mapping[str, Any] | None) -> tuple[bytes | None, dict[str, str]]:
        """A body as bytes, every other one packed."""
        if body is None:
            return None, {}
        content = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if self._chance.random() < 0.5:
            return content, headers
        return gzip.compress(content, 1), {**headers, "content-encoding": "gzip"}
