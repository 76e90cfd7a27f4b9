"""``python -m cs_hdl.peers``: measures and writes docs/results/peers.json; see docs/peers.md."""

from __future__ import annotations

import argparse
import json
import sys

from cs_hdl.peers.compare import compare
from cs_hdl.peers.environment import ROOT

_RESULTS = ROOT / "docs" / "results" / "peers.json"


def main() -> int:
    """Exit code 0 where every point has all its figures, otherwise 3."""
    parser = argparse.ArgumentParser(prog="scripts/peers", description=__doc__)
    parser.add_argument("--limit", type=float, default=2400, help="seconds that one step may take (default: 2400)")
    parser.add_argument(
        "--only", default="", help="only points whose peer or layer holds this text; nothing is written"
    )
    parser.add_argument(
        "--kept", action="store_true", help="start nothing that takes long: only what earlier runs kept"
    )
    options = parser.parse_args()
    entries = []
    for entry in compare(
        limit=0 if options.kept else options.limit,
        only=options.only,
        progress=lambda text: print(text, file=sys.stderr),
    ):
        print(json.dumps(entry), flush=True)
        entries.append(entry)
    if not options.only:
        _RESULTS.write_text(json.dumps(entries, indent=1) + "\n")
    return 3 if any("not_run" in entry for entry in entries) else 0


if __name__ == "__main__":
    sys.exit(main())
