"""`--no-query-cache` holds for what the server starts with and for what is deployed later."""

from pathlib import Path

import pytest
from deploying import Server, served
from serving import FILES

MIB = 1 << 20
CACHE = '[cache]\nquery-encodings = "2 MiB"\n'


def limit(server: Server) -> int:
    with server.host.use() as application:
        return application.query_cache.limit


@pytest.mark.parametrize(("chosen", "limits"), [(None, (32 * MIB, 2 * MIB)), (0, (0, 0))])
def test_an_operator_switches_the_cache_off(
    tmp_path: Path, chosen: int | None, limits: tuple[int, int]
) -> None:
    with served(None, tmp_path / "data", query_cache=chosen) as server:
        server.deploy(FILES)
        assert limit(server) == limits[0]
        server.deploy({**FILES, "ext/siftline.toml": CACHE})
        assert limit(server) == limits[1]
    with served(None, tmp_path / "data", query_cache=chosen) as server:
        assert limit(server) == limits[1]


def test_the_cache_is_counted(tmp_path: Path) -> None:
    with served(None, tmp_path / "data") as server:
        server.deploy(FILES)
        text = server.container.get("/metrics").text
    assert 'siftline_query_encodings_total{outcome="hit"} 0.0' in text
    assert 'siftline_query_encodings_total{outcome="miss"} 0.0' in text
    assert "siftline_query_encodings_bytes 0.0" in text
