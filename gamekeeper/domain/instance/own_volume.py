"""Named volumes belong to their instance: two instances that both write ``data:/data`` have two volumes.

An update keeps them, and a removal takes them along only where that is asked for.
"""

from __future__ import annotations

from gamekeeper.domain.language.container import Container
from gamekeeper.domain.language.problem import ProblemList
from gamekeeper.domain.language.project_volume import of_instance, own_prefix

RESERVED = "gk-"
_WHERE = ("container", "volumes")
_HINT = "write another name, as data:/data; a volume of others is external:NAME:/path, where the node's policy has it"


def with_own_volumes(
    container: Container, instance: str, problems: ProblemList, before: Container | None = None
) -> Container:
    """The container with each named volume as the instance's own. Names that begin as Gamekeeper's are refused, or
    anybody could mount another's data; those that the instance has by now (``before``) stay, as a pipeline's."""
    has = {_source(volume) for volume in before.volumes} if before is not None else set()
    for index, volume in enumerate(container.volumes):
        source = _source(volume)
        if source.startswith(RESERVED) and source not in has and not source.startswith(own_prefix(instance)):
            message = f'"{source}": names that begin with "{RESERVED}" are Gamekeeper\'s own'
            problems.add((*_WHERE, index), "value", message, _HINT)
    volumes = [of_instance(volume, instance) for volume in container.volumes]
    return container if volumes == container.volumes else container.model_copy(update={"volumes": volumes})


def _source(volume: str) -> str:
    return volume.partition(":")[0]
