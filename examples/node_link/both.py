"""Server and agent in one process: the whole conversation without a network of yours.

python examples/node_link/both.py
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from client import run
from server import serve


async def main() -> None:
    server, port = await serve("127.0.0.1:0")
    try:
        for _ in range(2):  # the second session of a node has the next epoch
            await run(f"127.0.0.1:{port}", token="toy", beats=2)
    finally:
        await server.stop(grace=0.5)


if __name__ == "__main__":
    asyncio.run(main())
