"""Server and agent in one process: the whole conversation without a network of yours.

python examples/node_link/both.py
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from client import run
from server import serve

from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_key import csr, new_key


async def main(folder: Path) -> None:
    now, key = datetime.now(UTC), new_key()
    authority = Authority.ensure(folder, secrets.token_hex(32), now)
    certificate = authority.issue_node(csr(key), "toy", 1, now).chain_pem
    server, port = await serve("127.0.0.1:0", authority)
    try:
        for _ in range(2):  # the second session of a node has the next epoch
            joined = {"certificate": certificate, "roots": authority.roots_pem(now)}
            await run(f"127.0.0.1:{port}", key, joined, beats=2)
    finally:
        await server.stop(grace=0.5)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(made)))
