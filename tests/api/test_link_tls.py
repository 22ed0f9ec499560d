"""The node link's TLS is 1.3 and nothing older."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.hang import HANG_SECONDS


def test_no_older_tls_than_1_3(tmp_path: Path) -> None:
    """In a process of its own, because gRPC reads what forbids older ones when it is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", OLD_AND_NEW, str(tmp_path / "ca")], capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.stdout.split() == ["TLSv1_2:", "refused", "TLSv1_3:", "TLSv1.3"], done.stderr


OLD_AND_NEW = """
import asyncio, ssl, sys
from pathlib import Path
from api.grpc.server import build_server
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.certificates import TestAuthority

async def main():
    pki = TestAuthority(Path(sys.argv[1]))
    server = build_server(pb_grpc.NodeLinkServicer(), "127.0.0.1:0", trust=pki.trust, reflect=False)
    await server.start()
    own = Path(sys.argv[1], "node.pem")
    credentials = pki.identity(1).good_credentials
    own.write_text(credentials.key + credentials.chain)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cadata=credentials.roots)
        context.load_cert_chain(own)
        context.minimum_version = context.maximum_version = version
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=context, server_hostname="gamekeeper"
            )
            print(f"{version.name}:", writer.get_extra_info("ssl_object").version())
            writer.close()
        except OSError:
            print(f"{version.name}:", "refused")
    await server.stop(0)

asyncio.run(main())
"""


def test_strangers_leave_no_line_in_the_log(tmp_path: Path) -> None:
    """A scanner's connections are many, and gRPC would tell of each."""
    done = subprocess.run(
        [sys.executable, "-c", STRANGERS, str(tmp_path / "ca")], capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert (done.stdout, done.stderr, done.returncode) == ("30 strangers\n", "", 0)


STRANGERS = """
import asyncio, os, sys
from pathlib import Path
from api.grpc.server import build_server
from gamekeeper.rpc.v1 import node_link_pb2_grpc as pb_grpc
from tests.fixtures.certificates import TestAuthority

async def main():
    pki = TestAuthority(Path(sys.argv[1]))
    server = build_server(pb_grpc.NodeLinkServicer(), "127.0.0.1:0", trust=pki.trust, reflect=False)
    await server.start()
    said = (os.urandom(300), b"GET / HTTP/1.1\\r\\n\\r\\n", b"\\x16\\x03\\x01\\x02\\x00\\x01" + os.urandom(500))
    for number in range(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(said[number % 3])
        writer.write_eof()
        try:
            await reader.read()
        except OSError:
            pass
        writer.close()
    print("30 strangers")
    await server.stop(0)

asyncio.run(main())
"""
