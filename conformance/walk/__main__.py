"""python -m walk BASE_URL: the whole walk, on a server named localhost with open registration and the secret "complement".

With --by-wish only the part whose answers the schemas can not describe: events in the format of servers.
"""

import sys

from . import accounts, edges, membership, rooms, settings, syncing
from .client import Walk


def main():
    the = Walk(sys.argv[1])
    try:
        if "--by-wish" in sys.argv:
            syncing.by_wish(the)
        else:
            for part in (accounts, settings, rooms, membership, syncing, edges):
                part.walk(the)
    finally:
        the.close()
    for surprise in the.surprises:
        print(f"walk: {surprise}")
    print(f"walk: {the.steps - len(the.surprises)} steps as wanted, {len(the.surprises)} not")
    return 1 if the.surprises else 0


sys.exit(main())
