"""For whoever works on the server: `python -m benchmarks.server [--quick] [PART or SERVER ...]`; writes no results.

Parts: start, ingest, search, history, artifacts. Servers: ours, mlflow, fasttrackml, postgres (the first two there).
"""

import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.frame import Peers
from benchmarks.server.rows import PARTS, QUICK, SERVERS, Bench, Sizes

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that the servers are stopped too
    asked = frozenset(sys.argv[1:])
    if unknown := asked - {"--quick", "postgres", *PARTS, *SERVERS}:
        sys.exit(f"{__doc__}\nunknown: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="rwbench") as work:
        sizes = QUICK if "--quick" in asked else Sizes()
        with Bench(Path(work), Peers(), sizes, asked - {"--quick"}) as bench:
            bench.measure()
