"""The summary in vespa-fbench's words and columns."""

from __future__ import annotations

import pytest

from siftline.load.options import LoadOptions
from siftline.load.result import LoadResult, summary, to_json
from siftline.load.tally import Tally


def result() -> LoadResult:
    """Two clients of 2 s each: 90 answers of 10 ms, 10 of 100 ms, 3 failures."""
    tally = Tally(clients=2, succeeded=100, failed=3, zero_hits=4, reused=101, not_held=103)
    for time in [10.0] * 90 + [100.0] * 10:
        tally.times.add(time)
    tally.seconds = 4.0
    tally.statuses.update({200: 100, 503: 3})
    tally.failures["status 503"] = 3
    return LoadResult(LoadOptions((("h", 1),), clients=2, cycle=0), tally, 2.04)


SUMMARY = """\
*** HTTP keep-alive statistics ***
connection reuse count -- 101
***************** Benchmark Summary *****************
clients:                       2
ran for:                       2 seconds
cycle time:                    0 ms
lower response limit:          0 bytes
skipped requests:              0
failed requests:               3
successful requests:         100
cycles not held:             103
minimum response time:     10.00 ms
maximum response time:    100.00 ms
average response time:     19.00 ms
25   percentile:           10.00 ms
50   percentile:           10.00 ms
75   percentile:           10.00 ms
90   percentile:           10.00 ms
95   percentile:          100.00 ms
98   percentile:          100.00 ms
99   percentile:          100.00 ms
99.5 percentile:          100.00 ms
99.6 percentile:          100.00 ms
99.7 percentile:          100.00 ms
99.8 percentile:          100.00 ms
99.9 percentile:          100.00 ms
actual query rate:         50.00 Q/s
utilization:               47.50 %
zero hit queries:              4
http request status breakdown:
       200 :      100 
       503 :        3 """  # noqa: W291  the program ends these lines with a space


def test_the_summary_line_by_line() -> None:
    shown = summary(result()).splitlines()
    for line, expected in zip(shown, SUMMARY.splitlines(), strict=True):
        if "percentile" not in expected:
            assert line == expected
            continue
        # A percentile is the middle of its cell, so its last digits may differ.
        label, value, unit = line[:24], line[24:32], line[32:]
        assert (label, unit) == (expected[:24], " ms")
        assert float(value) == pytest.approx(float(expected[24:32]), rel=0.001)


def test_without_keep_alive_nothing_is_said_of_it() -> None:
    made = result()
    options = LoadOptions((("h", 1),), clients=2, cycle=0, keep_alive=False)
    shown = summary(LoadResult(options, made.tally, made.ran))
    assert shown.startswith("***************** Benchmark Summary")


def test_json_has_the_same_figures() -> None:
    figures = to_json(result())
    assert figures["queries_per_second"] == 50.0
    assert figures["latency_ms"]["average"] == 19.0
    assert figures["status"] == {"200": 100, "503": 3}
    assert figures["failures"] == {"status 503": 3}


def test_a_test_without_an_answer_has_figures() -> None:
    empty = LoadResult(LoadOptions((("h", 1),)), Tally(clients=1, failed=2, seconds=1.0), 1.0)
    assert (empty.rate, empty.utilization, empty.average) == (0.0, 0.0, 0.0)
    assert "minimum response time:      0.00 ms" in summary(empty)
