"""Settings of the control worker process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gamekeeper.settings import PayloadSettings


class ControlWorkerSettings(PayloadSettings):
    steps_certificate: Path = Field(
        default=Path("ca/steps/steps.pem"),
        description="File with the certificate of the key that signs what nodes are told to run, and those that lead "
        "from it to the root, as PEM. The api writes it; it is read again when it changes.",
    )
    steps_key: Path = Field(
        default=Path("ca/steps/steps.key"),
        description="File with the key of that certificate, as PEM. Beside it lies `work.key`, the secret that proves "
        "that work comes from this control plane: keep it in backups, for without it runs that go on stand still.",
    )

    channel_networks: str = Field(
        default="",
        description="Networks besides public ones that messages of alarms may go to, with commas between them, as "
        "`127.0.0.0/8, 10.0.0.0/8`. Empty by default: a channel's address would else reach into your own network.",
    )
    public_url: str = Field(
        default="",
        description="Address at which people reach REST, as `https://games.example.org`: messages of alarms then have "
        "links to acknowledge and to silence. Without it they have none.",
    )

    @property
    def channels_key(self) -> Path:
        """The master key of channels' secrets; the api makes it."""
        return self.steps_key.with_name("channels.key")

    @property
    def work_key(self) -> Path:
        """The secret that proves work; the api writes it beside the key that signs steps."""
        return self.steps_key.with_name("work.key")
