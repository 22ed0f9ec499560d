"""Settings of the api process."""

from __future__ import annotations

import ipaddress
import socket
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from sqlalchemy.engine import make_url

from api.logs.usage import LogLimits
from api.oidc_settings import OidcSettings
from api.passkey_settings import PasskeySettings, relying_party
from gamekeeper.certificates.acme_terms import AcmeTerms
from gamekeeper.disk import DiskFloor
from gamekeeper.domain.access.passkey import RelyingParty
from gamekeeper.domain.access.user import SessionTerms
from gamekeeper.domain.node.metric import Retention
from gamekeeper.errors import InvalidError
from gamekeeper.keys import weakness
from gamekeeper.payload_keys.ring_file import RingFile

SMALLEST_QUOTA = 65_536


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_origin(text: str) -> bool:
    """True for scheme, host and port, as browsers write them: compared letter by letter."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and text == f"{parts.scheme}://{parts.netloc}" and bool(parts.hostname)
    except ValueError:
        return False


class ApiSettings(OidcSettings, PasskeySettings):
    """Everything binds to loopback unless told otherwise."""

    rest_host: str = Field(
        default="127.0.0.1",
        description="Address that REST listens on. It is plain HTTP on loopback, and HTTPS on any other address.",
    )
    rest_certificate: Path | None = Field(
        default=None,
        description="File with the certificate of REST and those that lead from it to the root, as PEM. It is read "
        "again when it changes. None takes one of the own CA, unless `ACME_DOMAINS` is given: users then need the CA's "
        "pin.",
    )
    rest_key: Path | None = Field(
        default=None, description="File with the key of that certificate, as PEM, not encrypted."
    )
    rest_names: str = Field(
        default="",
        description="Names and addresses by which REST is reached, with commas between. The certificate of the own CA "
        "is good for them, for this machine's name and for the address that REST listens on.",
    )
    acme_domains: str = Field(
        default="",
        description="Names, with commas between, for which REST gets a certificate of a public CA by ACME. Each has to "
        "lead to this machine from the internet, with port 80. Giving it agrees to the terms of that CA.",
    )
    acme_email: str = Field(
        default="", description="Mail address that the CA writes to, such as before a certificate ends unrenewed."
    )
    acme_directory: str = Field(
        default="https://acme-v02.api.letsencrypt.org/directory",
        description="URL of the CA's ACME directory. Others: `https://acme.zerossl.com/v2/DV90`, "
        "`https://dv.acme-v02.api.pki.goog/directory`, both with an external account binding.",
    )
    acme_eab_kid: str = Field(
        default="", description="Key id of the external account binding, which some CAs give to their customers."
    )
    acme_eab_key: str = Field(default="", description="HMAC key of that binding, as base64url.")
    acme_profile: str = Field(
        default="",
        description="Profile of the certificate, where the CA has several: `shortlived` of Let's Encrypt lives six "
        "days, and may be for an IP address.",
    )
    acme_http_port: int = Field(
        default=80,
        ge=1,
        le=65535,
        description="TCP port on which the CA's question (HTTP-01) is answered, while it asks. It always asks port 80; "
        "give another one where a proxy or NAT leads that here.",
    )
    acme_roots: Path | None = Field(
        default=None,
        description="File with the roots by which the directory itself is trusted, for an ACME server of your own.",
    )
    rest_plain: bool = Field(
        default=False,
        description="Serves plain HTTP on any address, for a proxy with TLS before it. Keys and tokens then travel in "
        "plain text up to there.",
    )
    rest_proxies: str = Field(
        default="",
        description="Addresses and networks of reverse proxies before REST, with commas between. From them alone "
        "`X-Forwarded-For` is believed; limits for each address would else count all who come by a proxy as one.",
    )
    rest_connections: int = Field(
        default=8192,
        ge=16,
        le=65_536,
        description="Connections that REST has open at once. Those beyond wait in the kernel's line.",
    )
    writes_per_second: float = Field(
        default=200.0,
        gt=0,
        description="Requests that write, a second, of one API key, and of one address. Ten times as many may come at "
        "once; those beyond get 429 with `Retry-After`.",
    )
    metrics_key: str = Field(
        default="",
        description="Key that reads `/metrics` and nothing else, 32 characters at least, for a Prometheus on another "
        "machine. Without it only the machine itself (loopback) and API keys read them.",
    )
    metrics_key_file: Path | None = Field(
        default=None,
        description="File with that key, which keeps it out of the environment; it stands before `METRICS_KEY`.",
    )
    rest_port: int = Field(default=7380, description="TCP port of REST.")
    grpc_host: str = Field(
        default="127.0.0.1",
        description="Address that the node link listens on. It may be open to the internet: each connection needs a "
        "node's certificate.",
    )
    grpc_port: int = Field(default=7381, description="TCP port of the node link; 0 takes any free one.")
    grpc_reflection: bool = Field(
        default=False,
        description="Lets tools like grpcurl list the node link's calls without its .proto. Off, because strangers "
        "need no map.",
    )
    ca_dir: Path = Field(
        default=Path("ca"),
        description="Folder of the CA that issues the certificates of nodes and servers: `ca.pem`, `ca.key` and "
        "`roots.pem`. One is made where there is none; an outside CA is used by putting its files there.",
    )
    ca_passphrase: str = Field(
        default="",
        description="Passphrase of the CA's key, 16 characters at least. Without it the key's file is of no use to "
        "whoever copies it, so keep it elsewhere.",
    )
    ca_passphrase_file: Path | None = Field(
        default=None,
        description="File with the passphrase, which keeps it out of the environment; it stands before "
        "`CA_PASSPHRASE`.",
    )
    certificate_seconds: int = Field(
        default=86_400,
        ge=3,
        description="Seconds that a node's certificate lives. It is renewed at two thirds: a day outlasts an api that "
        "is away for a night.",
    )
    bundle_dir: Path | None = Field(
        default=None,
        description="Folder of the agent bundles that joining machines download. None is the one to which "
        "`make agent-bundle` of this installation writes.",
    )
    logs_dir: Path = Field(
        default=Path("logs"),
        description="Folder of step logs, below the working directory unless absolute. Give it a disk of its own "
        "where logs are large: a full one stops nothing that runs.",
    )
    log_run_bytes: int = Field(
        default=4 * 2**30,
        ge=SMALLEST_QUOTA,
        description="Bytes of logs of one run, all its steps and tries together. A log beyond it ends with a record of "
        "what is missing, and the run goes on. 4 GiB are a day of 50 kB a second.",
    )
    log_instance_bytes: int = Field(
        default=2**30,
        ge=SMALLEST_QUOTA,
        description="Bytes of logs of one instance, all its revisions together. Beyond it the oldest lines make room, "
        "and a record says so.",
    )
    log_node_bytes: int = Field(
        default=20 * 2**30,
        ge=SMALLEST_QUOTA,
        description="Bytes of logs of all runs and instances of one node. A node that has filled it keeps further "
        "lines to itself (condition `LogQuota`) until logs older than `LOG_KEEP_DAYS` have made room, or this is more.",
    )
    log_keep_days: int = Field(
        default=30,
        ge=1,
        le=36_500,
        description="Days that a log is safe from making room for others of its node. Older ones are dropped only "
        "while their node has filled its quota, the oldest first, and a record of it stays.",
    )
    disk_free_bytes: int = Field(
        default=512 * 2**20,
        ge=0,
        description="Bytes that stay free on the disks of the logs and of SQLite, a twentieth of a small disk at most; "
        "10,000 inodes as well. With less, logs stay on their nodes and new runs and instances are refused (503), so "
        "that there is room for outcomes, cancels and all that goes on.",
    )
    events_of_node: int = Field(
        default=200_000,
        ge=1000,
        description="Events that are kept of what one node told by itself; beyond that its oldest go. What users and "
        "runs do is not counted, and kept whatever a node tells.",
    )
    admin_key: str = Field(
        default="",
        description="API key that may do everything, 32 characters at least. Empty makes none; keys of earlier starts "
        "stay good, and one that has ended stays so.",
    )
    admin_key_file: Path | None = Field(
        default=None,
        description="File with the admin key, which keeps it out of the environment; it stands before `ADMIN_KEY`. One "
        "that has ended is replaced there by a new one.",
    )
    session_idle_minutes: int = Field(
        default=720,
        ge=1,
        description="Minutes without a request after which a session ends. Half a day, so that nobody finds it open in "
        "the morning.",
    )
    session_days: int = Field(
        default=30, ge=1, le=365, description="Days after which a session ends, however it is used."
    )
    gateway_port: int = Field(
        default=0,
        description="TCP port of the gateway as agents reach it, on the host that they dial. 0 says that there is "
        "none: agents then dial Temporal itself.",
    )
    gateway_address: str = Field(
        default="",
        description="Address of the gateway as HOST:PORT, where it is not on the host that agents dial.",
    )
    gateway_certificate_dir: Path | None = Field(
        default=None,
        description="Folder to which the gateway's certificate, its key and the roots are written, for a gateway that "
        "does not see the CA's folder. None is `gateway` below that.",
    )
    steps_certificate_dir: Path | None = Field(
        default=None,
        description="Folder to which the key that signs what nodes are told to run is written, with its certificate, "
        "and the secret that proves work, for a control worker that does not see the CA's folder. None is `steps` "
        "below that.",
    )
    payload_keys: Path | None = Field(
        default=None,
        description="File with the keys that encrypt what goes through Temporal, which control worker and gateway "
        "read, too. It is made at the first start, and read again when it changes. None is `payloads.key` in the CA's "
        "folder. Keep it in backups, apart from Temporal's database: without it, runs that go on stand still "
        "([payload encryption](payload-encryption.md)).",
    )
    temporal_ui_origins: str = Field(
        default="",
        description="Origins of Temporal's web UI, as `http://127.0.0.1:8233`, with commas between: pages from there "
        "may ask the api to decrypt what they show, in the name of an admin. Empty lets no page do so.",
    )
    temporal_retention_days: int = Field(
        default=7,
        ge=1,
        le=3650,
        description="Days that Temporal keeps the history of a run that has ended, in a namespace "
        "(`TEMPORAL_NAMESPACE`) that the api registers because it is not there. One that is there is left as it is. "
        "A week, because "
        "histories are for people who look into a run; the read model keeps runs.",
    )
    temporal_for_agents: str = Field(
        default="",
        description="Temporal's address as agents are told it. Empty tells them ours, which is right unless they "
        "reach it by another way.",
    )
    cancel_is_pushed: bool = Field(
        default=False,
        description="Says that the Temporal server pushes cancels to workers, as the embedded one does. Off, because "
        "a server that does not would leave cancels waiting; agents then ask by heartbeats.",
    )
    node_wait_seconds: float = Field(
        default=600.0,
        description="Seconds that a step waits for a node that is away before it ends with an error. Ten minutes "
        "outlast a reboot.",
    )
    heartbeat_ms: int = Field(
        default=2000,
        description="Milliseconds between the heartbeats of an agent in a small fleet. The period grows to 5 s with a "
        "thousand nodes, so that the fleet's beats stay cheap.",
    )
    lease_ms: int = Field(
        default=8000,
        description="Milliseconds of silence after which a node is offline. Four heartbeats: one late and one lost "
        "are no loss yet.",
    )
    metrics_ms: int = Field(
        default=5000,
        description="Milliseconds between samples of nodes and containers. A shorter period shows more and costs each "
        "node CPU.",
    )
    log_bytes_per_second: int = Field(
        default=0,
        description="Bytes of logs a second that one node may send; 0 is no limit. Set it where logs share a thin "
        "line with players.",
    )
    events_keep_days: int = Field(
        default=90, description="Days that events are kept. A quarter, so that last season's changes can be looked up."
    )
    metrics_raw_hours: int = Field(
        default=1, description="Hours that samples are kept as they came. They are by far the most rows."
    )
    metrics_minute_days: int = Field(
        default=7, description="Days that means over a minute are kept: a week, to compare with the same day."
    )
    metrics_hour_days: int = Field(default=90, description="Days that means over an hour are kept, as long as events.")

    @property
    def rest_is_tls(self) -> bool:
        return not (self.rest_plain or is_loopback(self.rest_host))

    def gateway_seen_at(self) -> str:
        """The gateway's address from here; empty where there is none."""
        if self.gateway_address or not self.gateway_port:
            return self.gateway_address
        is_everywhere = self.grpc_host in ("0.0.0.0", "::")
        host = "127.0.0.1" if is_everywhere else self.grpc_host
        return f"[{host}]:{self.gateway_port}" if ":" in host else f"{host}:{self.gateway_port}"

    def names(self) -> list[str]:
        """The names of the own certificate of REST."""
        given = [name.strip() for name in self.rest_names.split(",") if name.strip()]
        return [*given, self.rest_host, socket.gethostname(), "localhost", "127.0.0.1"]

    @property
    def work_key(self) -> Path:
        """The secret that proves work; it lies beside the key that signs steps."""
        return (self.steps_certificate_dir or self.ca_dir / "steps") / "work.key"

    @property
    def channels_key(self) -> Path:
        """The master key of channels' secrets. It lies where the control worker, which sends, can read it, and opens
        nothing else."""
        return self.work_key.with_name("channels.key")

    def payload_ring(self) -> RingFile:
        return RingFile(self.payload_keys or self.ca_dir / "payloads.key")

    def ui_origins(self) -> list[str]:
        """Raises InvalidError for one that is no origin."""
        found = [text.strip() for text in self.temporal_ui_origins.split(",") if text.strip()]
        for text in found:
            if not is_origin(text):
                raise InvalidError(
                    f'GAMEKEEPER_TEMPORAL_UI_ORIGINS: "{text[:60]}" is no origin', hint="as http://127.0.0.1:8233"
                )
        return found

    def relying_party(self) -> RelyingParty | None:
        """None where no name for passkeys is known. Raises InvalidError for settings that no browser would take."""
        names = [name.strip().lower() for name in f"{self.acme_domains},{self.rest_names}".split(",")]
        local = is_loopback(self.rest_host)
        return relying_party(self.passkey_rp_id, self.passkey_origins, names, is_local=local, port=self.rest_port)

    def rest_files(self) -> tuple[Path, Path] | None:
        """Certificate and key of an operator. Raises InvalidError where one is missing."""
        if self.rest_certificate is None and self.rest_key is None:
            return None
        if self.rest_certificate is None or self.rest_key is None:
            raise InvalidError(
                "of GAMEKEEPER_REST_CERTIFICATE and GAMEKEEPER_REST_KEY one is missing", hint="give both or none"
            )
        return self.rest_certificate, self.rest_key

    def acme_terms(self) -> AcmeTerms | None:
        """None without a name. Raises InvalidError for settings that don't go together."""
        names = [name.strip().lower() for name in self.acme_domains.split(",") if name.strip()]
        if not names:
            return None
        if self.rest_certificate is not None:
            raise InvalidError(
                "GAMEKEEPER_REST_CERTIFICATE and GAMEKEEPER_ACME_DOMAINS are both given", hint="give one of them"
            )
        if bool(self.acme_eab_kid) != bool(self.acme_eab_key):
            raise InvalidError(
                "of GAMEKEEPER_ACME_EAB_KID and GAMEKEEPER_ACME_EAB_KEY one is missing", hint="give both or none"
            )
        return AcmeTerms(
            directory=self.acme_directory,
            names=names,
            email=self.acme_email,
            profile=self.acme_profile,
            binding_id=self.acme_eab_kid,
            binding_key=self.acme_eab_key,
            roots=self.acme_roots,
            host=self.rest_host,
            port=self.acme_http_port,
        )

    def read_ca_passphrase(self) -> str:
        """Raises InvalidError for a file that can't be read."""
        if self.ca_passphrase_file is None:
            return self.ca_passphrase
        try:
            return self.ca_passphrase_file.read_text().strip()
        except OSError as error:
            raise InvalidError(
                f"the passphrase of the CA can't be read: {error}", hint="check GAMEKEEPER_CA_PASSPHRASE_FILE"
            ) from error

    def read_metrics_key(self) -> str:
        """Empty for none. Raises InvalidError for a file that can't be read, and for a key that could be guessed."""
        key = self.metrics_key.strip()
        try:
            if self.metrics_key_file is not None:
                key = self.metrics_key_file.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise InvalidError(
                f"the key of the metrics can't be read: {error}", hint="check GAMEKEEPER_METRICS_KEY_FILE"
            ) from error
        if key and (trouble := weakness(key)):
            raise InvalidError(f"GAMEKEEPER_METRICS_KEY {trouble}", hint="make one: openssl rand -hex 32")
        return key

    def proxies(self) -> list[str]:
        """Addresses and networks of reverse proxies. Raises InvalidError for one that is none."""
        found = [text.strip() for text in self.rest_proxies.split(",") if text.strip()]
        for text in found:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise InvalidError(
                    f'GAMEKEEPER_REST_PROXIES: "{text[:60]}" is no address and no network',
                    hint="as 10.0.0.5 or 10.0.0.0/24",
                ) from error
        return found

    def session_terms(self) -> SessionTerms:
        return SessionTerms(timedelta(minutes=self.session_idle_minutes), timedelta(days=self.session_days))

    def log_limits(self) -> LogLimits:
        return LogLimits(self.log_run_bytes, self.log_instance_bytes, self.log_node_bytes)

    def disk_floor(self) -> DiskFloor:
        """Over the disks that are here: a PostgreSQL has its own."""
        url = make_url(self.database_url)
        is_file = url.get_backend_name() == "sqlite" and url.database
        return DiskFloor([self.logs_dir, *([Path(str(url.database)).parent] if is_file else [])], self.disk_free_bytes)

    def retention(self) -> Retention:
        return Retention(
            raw=self.metrics_raw_hours * 3600,
            minutes=self.metrics_minute_days * 86_400,
            hours=self.metrics_hour_days * 86_400,
        )
