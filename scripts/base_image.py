"""Leaves a Debian base image on this machine's Docker Engine, and prints its name.

It is pulled where a registry is in reach, and made with mmdebstrap from Debian's packages where none is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import docker
from docker.errors import DockerException, ImageNotFound

PULLED = "debian:bookworm-slim"
MADE = "gamekeeper/debian:bookworm"


def ensure_base_image(client: docker.DockerClient) -> str:
    for name in (PULLED, MADE):
        try:
            client.images.get(name)
        except ImageNotFound:
            continue
        return name
    try:
        client.images.pull(PULLED)
    except DockerException as error:
        print(f"gamekeeper: {PULLED} can't be pulled ({type(error).__name__}); making {MADE}", file=sys.stderr)
        make_base_image()
        return MADE
    return PULLED


def make_base_image() -> None:
    if shutil.which("mmdebstrap") is None:
        if os.geteuid() != 0:
            raise SystemExit("gamekeeper: no registry is in reach; install mmdebstrap: sudo apt-get install mmdebstrap")
        print("gamekeeper: installing mmdebstrap", file=sys.stderr)
        install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null"
        subprocess.run(["sh", "-c", install], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "bookworm", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as bootstrap:
        imported = subprocess.run(["docker", "import", "-", MADE], stdin=bootstrap.stdout, stdout=subprocess.DEVNULL)
    if bootstrap.returncode or imported.returncode:
        raise SystemExit(f"gamekeeper: {MADE} could not be made; see what mmdebstrap or docker import said above")


if __name__ == "__main__":
    print(ensure_base_image(docker.from_env()))
