"""Killed at any moment while feeding, nothing acknowledged is lost and nothing has to be mended.

SIFTLINE_CRASH_ROUNDS says how often (default 3).
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import siftline
from small_package import write_package

ROUNDS = int(os.environ.get("SIFTLINE_CRASH_ROUNDS", "3"))

SCHEMA = """schema note {
  document note {
    field text type string { indexing: index | summary
      index: enable-bm25 }
    field number type int { indexing: attribute | summary }
    field vec type tensor<float>(x[16]) { indexing: attribute | index }
  }
  fieldset default { fields: text }
  rank-profile text { first-phase { expression: bm25(text) } }
  rank-profile near {
    inputs { query(q) tensor<float>(x[16]) }
    first-phase { expression: closeness(field, vec) }
  }
}
"""

# Feeds for ever; writes the number of the first document that is not yet acknowledged.
FEEDER = """
import sys
import siftline

def documents(start):
    number = start
    while True:
        yield {
            "_id": str(number), "text": f"note w{number}", "number": number,
            "vec": [float((number * (i + 3)) % 17) for i in range(16)],
        }
        number += 1

start = int(sys.argv[2])
with siftline.open(sys.argv[1]) as app:
    print("open", flush=True)
    app.feed(documents(start), progress=lambda r: print(start + r.put, flush=True))
"""

# Feeds for ever from four threads through an intake; writes each number that is acknowledged.
INTAKE_FEEDER = """
import contextlib
import itertools
import os
import sys
import threading
import siftline
from siftline.feed.operation import DocumentId, Operation
from siftline.intake import Intake

app = siftline.open(sys.argv[1])
intake = Intake(contextlib.contextmanager(lambda: iter([app])))
free = threading.Semaphore(200)

def acknowledged(number, future):
    os.write(1, f"{number} {future.result().kind}\\n".encode())
    free.release()

def feed(start):
    for number in itertools.count(start, 4):
        free.acquire()
        id_ = DocumentId("notes", "note", "", str(number))
        future = intake.submit(Operation("put", id_, {"text": f"note w{number}", "number": number}))
        future.add_done_callback(lambda future, number=number: acknowledged(number, future))

print("open", flush=True)
for start in range(4):
    threading.Thread(target=feed, args=(start,), daemon=True).start()
threading.Event().wait()
"""

OPENER = """
import sys
import siftline

with siftline.open(sys.argv[1]) as app:
    for name in sys.argv[2:]:
        found = app.query(query=f"w{name}", ranking="text", timeout=60)
        assert found.ids == [f"id:notes:note::{name}"], (name, found.ids)
"""


def notes(tmp_path: Path) -> Path:
    return write_package(tmp_path / "notes", SCHEMA)


def test_what_the_intake_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    package = notes(tmp_path)
    feeder = subprocess.Popen(
        [sys.executable, "-c", INTAKE_FEEDER, str(package)], stdout=subprocess.PIPE, text=True
    )
    assert feeder.stdout is not None
    assert feeder.stdout.readline() == "open\n"
    first = feeder.stdout.readline()
    time.sleep(0.5)
    feeder.send_signal(signal.SIGKILL)
    written = first + feeder.stdout.read()
    feeder.wait()
    feeder.stdout.close()
    lines = written[: written.rfind("\n") + 1].splitlines()
    assert lines and all(line.endswith(" put") for line in lines)
    with siftline.open(package) as app:
        for line in lines:
            number = int(line.split()[0])
            assert app.get(str(number)) == {"text": f"note w{number}", "number": number}


def test_acknowledged_documents_survive_kill_9(tmp_path: Path) -> None:
    package = notes(tmp_path)
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(ROUNDS):
        acknowledged = _feed_and_kill(package, acknowledged, chance)
        some = chance.sample(range(acknowledged), min(acknowledged, 50))
        _opens_without_a_word(package, some)
        with siftline.open(package) as app:
            for number in range(acknowledged):
                stored = app.get(str(number))
                assert stored is not None and stored["number"] == number
            everything = app.query(yql="select * from note where true", ranking="unranked", hits=0)
            assert everything.total >= acknowledged
    assert acknowledged > 0


def _feed_and_kill(package: Path, start: int, chance: random.Random) -> int:
    """Feed from document `start` on, kill the feeder; the number of the first not acknowledged."""
    feeder = subprocess.Popen(
        [sys.executable, "-c", FEEDER, str(package), str(start)], stdout=subprocess.PIPE, text=True
    )
    assert feeder.stdout is not None
    assert feeder.stdout.readline() == "open\n"
    time.sleep(chance.uniform(0.0, 2.0))
    feeder.send_signal(signal.SIGKILL)
    lines = feeder.stdout.read().split()
    feeder.wait()
    feeder.stdout.close()
    return int(lines[-1]) if lines else start


def _opens_without_a_word(package: Path, numbers: list[int]) -> None:
    opened = subprocess.run(
        [sys.executable, "-c", OPENER, str(package), *map(str, numbers)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (opened.returncode, opened.stdout, opened.stderr) == (0, "", "")
