"""`python -m loa.app.healthcheck URL`: for container runtimes. 0 when the URL answers 200, else 1 and why."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException

ANSWER_S = 3.0
MAX_SHOWN_BYTES = 2_000


def main(arguments: Sequence[str]) -> int:
    """Ask once. No proxy of the environment is between."""
    if len(arguments) != 1:
        print("usage: python -m loa.app.healthcheck URL", file=sys.stderr)
        return 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(arguments[0], timeout=ANSWER_S):
            return 0
    except urllib.error.HTTPError as error:
        with error:
            print(error.status, error.read(MAX_SHOWN_BYTES).decode(errors="replace"), file=sys.stderr)
    except (OSError, HTTPException, ValueError) as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
