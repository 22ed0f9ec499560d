"""Named volumes belong to their pipeline: two pipelines that both write ``data:/data`` have two volumes.

``external:NAME:/path`` is a volume that somebody else made. The word stays in the resolved container, because a node's
policy decides about such volumes; the agent takes it off when it asks the engine.
"""

from __future__ import annotations

EXTERNAL = "external:"
PREFIX = "gk-p-"
INSTANCE_PREFIX = "gk-i-"
_OWNED = (PREFIX, INSTANCE_PREFIX, "gk-u-")


def of_pipeline(volume: str, pipeline: str) -> str:
    """``data:/data`` as ``gk-p-PIPELINE-data:/data``. Host paths, volumes of others and names that already are the
    pipeline's stay; so does a text whose source is a template yet."""
    own = f"{PREFIX}{pipeline}-"
    source = volume.partition(":")[0]
    if not source or source[0] in "/.~$" or volume.startswith((EXTERNAL, own)):
        return volume
    return own + volume


def of_instance(volume: str, instance: str) -> str:
    """``data:/data`` as ``gk-i-INSTANCE.data:/data``, where it has no owner yet. No id of an instance holds a dot."""
    source = volume.partition(":")[0]
    if not source or source[0] in "/.~$" or volume.startswith((EXTERNAL, *_OWNED)):
        return volume
    return f"{own_prefix(instance)}{volume}"


def own_prefix(instance: str) -> str:
    """The beginning of the names of an instance's own volumes, and of no other ones."""
    return f"{INSTANCE_PREFIX}{instance}."
