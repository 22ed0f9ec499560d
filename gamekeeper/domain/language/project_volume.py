"""Named volumes belong to their pipeline: two pipelines that both write ``data:/data`` have two volumes.

``external:NAME:/path`` is a volume that somebody else made. The word stays in the resolved container, because a node's
policy decides about such volumes; the agent takes it off when it asks the engine.
"""

from __future__ import annotations

EXTERNAL = "external:"
PREFIX = "gk-p-"


def of_pipeline(volume: str, pipeline: str) -> str:
    """``data:/data`` as ``gk-p-PIPELINE-data:/data``. Host paths, volumes of others and names that already are the
    pipeline's stay; so does a text whose source is a template yet."""
    own = f"{PREFIX}{pipeline}-"
    source = volume.partition(":")[0]
    if not source or source[0] in "/.~$" or volume.startswith((EXTERNAL, own)):
        return volume
    return own + volume
