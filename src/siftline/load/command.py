"""`siftline fbench`: vespa-fbench's options by their letters, and a sweep over clients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FBENCH_EXAMPLE = "Example: siftline fbench -P -q queries.txt -s 20 -n 8 -c 0 localhost 8080"


def fbench(  # noqa: PLR0913  an option of a command is an argument
    hosts: Annotated[
        list[str], typer.Argument(metavar="HOST PORT …", help="Whom to ask; clients take turns.")
    ],
    clients: Annotated[int, typer.Option("-n", help="Clients that ask in parallel.")] = 10,
    cycle: Annotated[
        int,
        typer.Option("-c", help="Milliseconds between a client's requests; -1: twice the response"),
    ] = 1000,
    seconds: Annotated[float, typer.Option("-s", help="How long; -1 until Ctrl-C.")] = 60,
    queries: Annotated[
        str, typer.Option("-q", help="Query file; with %03d one for each client.")
    ] = "query%03d.txt",
    post: Annotated[bool, typer.Option("-P", help="POST: a path line, then its content.")] = False,
    restarts: Annotated[
        int, typer.Option("-r", help="How often a query file is used again; -1 without limit.")
    ] = -1,
    ignore: Annotated[
        int, typer.Option("-i", help="First results of a client not counted; -1 all.")
    ] = 0,
    least_bytes: Annotated[int, typer.Option("-l", help="A shorter answer is a failure.")] = 0,
    shared: Annotated[bool, typer.Option("-z", help="One query file, a part for each.")] = False,
    output: Annotated[
        str | None, typer.Option("-o", help="File for the answers; with %03d one for each client.")
    ] = None,
    interval: Annotated[int, typer.Option("-p", help="Print the summary every so often.")] = 0,
    headers: Annotated[
        list[str] | None, typer.Option("-H", metavar="'NAME: VALUE'", help="Header to send.")
    ] = None,
    authority: Annotated[str | None, typer.Option("-A", help="Host header to send.")] = None,
    append: Annotated[str, typer.Option("-a", help="Put after every path.")] = "",
    base64: Annotated[bool, typer.Option("-d", help="POST content is base64.")] = False,
    most_line: Annotated[int, typer.Option("-m", help="Bytes a path may have.")] = 8192,
    keep_alive: Annotated[
        bool,
        typer.Option(
            "-k/ ",
            "--keep-alive/--no-keep-alive",
            help="Use connections again, as it does anyway.",
            show_default=False,
        ),
    ] = True,
    benchmark: Annotated[
        bool, typer.Option("-x", help="Ask for the server's figures in headers.")
    ] = False,
    coverage: Annotated[bool, typer.Option("-y", help="Ask for coverage in headers.")] = False,
    authorities: Annotated[
        str | None, typer.Option("-T", metavar="PEM", help="Certificates of the authority: TLS.")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("-C", metavar="PEM", help="Client certificate.")
    ] = None,
    key: Annotated[str | None, typer.Option("-K", metavar="PEM", help="Its private key.")] = None,
    tls_environment: Annotated[
        bool, typer.Option("-D", help="TLS files from VESPA_TLS_CONFIG_FILE.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option("--processes", help="Processes that the clients are spread over.")
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option("--sweep", metavar="1,2,4,8", help="Measure with each number of clients."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PNG", help="Draw latency against throughput."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Put load on an HTTP server and measure its answers, with vespa-fbench's options."""
    from siftline.load.options import LoadOptions, parse_hosts, parse_tls
    from siftline.load.terminal import measure_load, measure_sweep

    options = LoadOptions(
        parse_hosts(hosts),
        queries=queries,
        clients=clients,
        cycle=cycle,
        seconds=seconds,
        post=post,
        restarts=restarts,
        ignore=ignore,
        least_bytes=least_bytes,
        shared=shared,
        base64=base64,
        append=append,
        headers=tuple(headers or ()),
        authority=authority,
        output=output,
        benchmark=benchmark,
        coverage=coverage,
        most_line=most_line,
        keep_alive=keep_alive,
        tls=parse_tls(authorities, certificate, key, environment=tls_environment),
        processes=processes,
    )
    if sweep is not None or plot is not None:
        measure_sweep(options, sweep or str(clients), plot, as_json=as_json)
    else:
        measure_load(options, interval, as_json=as_json)
