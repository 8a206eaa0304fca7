"""`python -m bench [NAME …] [--json FILE]`: run the cases and print their figures."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.measurement import machine

CASES = sorted(path.stem.removeprefix("case_") for path in Path(__file__).parent.glob("case_*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in CASES]
    if unknown:
        parser.error(f"no case '{unknown[0]}' (there are: {', '.join(CASES)})")
    print("  ".join(machine().values()))
    figures = []
    for name in options.names or CASES:
        for figure in importlib.import_module(f"bench.case_{name}").run():
            print(f"{name:10} {figure.name:50} {figure.value:14,.1f} {figure.unit}", flush=True)
            figures.append({"case": name, **asdict(figure)})
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
