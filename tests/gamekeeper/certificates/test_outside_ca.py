"""An outside CA by its files: made by the commands of docs/certificates.md; an error for each file that is wrong."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gamekeeper.certificates.authority import Authority
from gamekeeper.certificates.node_key import csr, new_key
from gamekeeper.certificates.pem import certificates_in, pin_of
from gamekeeper.errors import ConflictError, InvalidError
from tests.gamekeeper.certificates.handshake import shake_hands

PAGE = Path(__file__).parents[3] / "docs" / "certificates.md"


def documented() -> list[str]:
    """The commands of the section: of the own CA, then of Gamekeeper's side."""
    section = PAGE.read_text().partition("## An outside CA")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def run(folder: Path, script: str) -> None:
    done = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stderr}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the documented commands were run."""
    folder = tmp_path_factory.mktemp("outside")
    for script in documented():
        run(folder, script)
    return folder


@pytest.fixture
def outside(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "outside")
    return tmp_path / "outside"


def opened(folder: Path) -> Authority:
    passphrase = (folder / "ca.passphrase").read_text().strip()
    return Authority.ensure(folder / "ca", passphrase, datetime.now(UTC))


def test_the_documented_commands_make_a_ca_that_both_sides_take(outside: Path) -> None:
    now = datetime.now(UTC)
    authority = opened(outside)
    root = (outside / "root.pem").read_text()
    assert authority.is_outside
    assert authority.pin == pin_of(root)
    assert len(authority.roots(now)) == 1
    key, server = new_key(), authority.issue_server([], now)
    client = (key, authority.issue_node(csr(key), "edge-1", 1, now).chain_pem)
    shake_hands(server=(server.key_pem, server.chain_pem), client=client, server_trusts=root, client_trusts=root)
    assert "ENCRYPTED" in (outside / "ca" / "ca.key").read_text()
    with pytest.raises(ConflictError, match="signed by another one, whose matter a rotation is"):
        authority.rotate((outside / "ca.passphrase").read_text().strip(), now)


def signed_anew(extensions: str, days: str = "365") -> Callable[[Path], None]:
    """The intermediate, issued once more with other words."""

    def change(folder: Path) -> None:
        run(
            folder,
            f"""printf '{extensions}' > words.ext
            openssl x509 -req -in ca.csr -CA root.pem -CAkey root.key -CAcreateserial -out ca/ca.pem \\
                -sha256 {days if "not_" in days else "-days " + days} -extfile words.ext""",
        )

    return change


def another_key(folder: Path) -> None:
    run(folder, "openssl ecparam -name prime256v1 -genkey -noout -out k.pem")
    run(folder, "openssl pkcs8 -topk8 -v2 aes-256-cbc -passout file:ca.passphrase -in k.pem -out ca/ca.key")


def key_in_clear(folder: Path) -> None:
    run(folder, "openssl ecparam -name prime256v1 -genkey -noout -out ca/ca.key")


def other_root(folder: Path) -> None:
    run(
        folder,
        "openssl req -x509 -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout k.pem -days 30"
        " -subj /CN=other -out ca/roots.pem",
    )


def root_first(folder: Path) -> None:
    chain = folder / "ca" / "ca.pem"
    chain.write_text((folder / "root.pem").read_text() + chain.read_text())


def root_without_depth(folder: Path) -> None:
    run(
        folder,
        "openssl req -x509 -new -key root.key -days 30 -subj '/CN=Example Root CA' -out root.pem"
        " -addext basicConstraints=critical,CA:TRUE,pathlen:0 && cp root.pem ca/roots.pem",
    )
    signed_anew("basicConstraints=critical,CA:TRUE")(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another_key, "ca.key does not belong to the first certificate of ca.pem"),
        (root_first, "put the certificate that signs first"),
        (key_in_clear, "ca.key is not encrypted; encrypt it: openssl pkcs8"),
        (other_root, "no root in .*roots.pem signed the certificates of ca.pem"),
        (signed_anew("basicConstraints=CA:FALSE"), "CN=Gamekeeper intermediate.* is not a CA's"),
        (signed_anew("subjectKeyIdentifier=hash"), "is not a CA's; have it issued with basicConstraints=critical,CA:"),
        (signed_anew("basicConstraints=CA:TRUE\\nkeyUsage=digitalSignature"), "may not sign certificates"),
        (signed_anew("basicConstraints=CA:TRUE", "-1"), r"ended on 20.* UTC; put a newer one there"),
        (root_without_depth, "allows a path of 0 CA certificates below it, and here 1 are; .*pathlen:1"),
        (lambda folder: (folder / "ca" / "ca.pem").write_text("-----"), "ca.pem holds no certificate"),
        (lambda folder: (folder / "ca" / "roots.pem").unlink(), "roots.pem can't be read: No such file"),
        (lambda folder: (folder / "ca" / "ca.key").unlink(), "ca.key can't be read: No such file"),
        (lambda folder: (folder / "ca.passphrase").write_text(""), "has no passphrase; make one: openssl rand"),
        (lambda folder: (folder / "ca.passphrase").write_text("x" * 20), "can't be opened with this passphrase"),
    ],
)
def test_a_wrong_file_is_named_with_what_to_do(outside: Path, change: Callable[[Path], object], words: str) -> None:
    change(outside)
    with pytest.raises(InvalidError) as caught:
        opened(outside)
    assert re.search(words, str(caught.value)), caught.value


def test_its_next_certificate_is_taken_over_by_putting_it_there(outside: Path) -> None:
    authority = opened(outside)
    signed_anew("basicConstraints=critical,CA:TRUE,pathlen:0\\nkeyUsage=critical,keyCertSign,cRLSign", "30")(outside)
    assert authority.is_replaced
    again = opened(outside)
    assert again.pin == authority.pin
    made = again.issue_server([], datetime.now(UTC))
    assert made.not_after < datetime.now(UTC) + timedelta(days=31)
    assert len(certificates_in(made.chain_pem)) == 2
