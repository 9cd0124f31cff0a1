"""Ask a service 25 times a second until standard input ends: ``python3 service_stream.py URL``; a new connection each.

Prints, as JSON, how many requests there were, what became of those that had no answer, and the longest one in seconds.
Standard library only: it runs on managed hosts.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from urllib.error import URLError
from urllib.request import urlopen

PERIOD = 0.04
TIMEOUT = 3.0


def main(url: str) -> None:
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    began, number = time.monotonic(), 0
    failures: list[str] = []
    longest = 0.0
    while not ended.is_set():
        asked = time.monotonic()
        try:
            with urlopen(url, timeout=TIMEOUT) as answer:
                answer.read()
        except (URLError, OSError) as error:
            failures.append(f"{asked - began:.1f} s: {error}")
        longest = max(longest, time.monotonic() - asked)
        number += 1
        ended.wait(max(0.0, began + number * PERIOD - time.monotonic()))
    print(json.dumps({"requests": number, "failures": failures, "longest": round(longest, 3)}))


def _await_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    main(sys.argv[1])
