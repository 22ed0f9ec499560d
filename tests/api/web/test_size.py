"""The first load is small: what the index names, its fonts and its icons, as a browser gets them."""

from __future__ import annotations

import re

from api.web.files import INDEX, WebFile, WebFiles

MOST_BYTES = 300_000


def size(file: WebFile) -> int:
    return min(len(form) for form in file.forms.values())


def test_the_first_load_is_small(built: None) -> None:
    files = WebFiles()
    index = files.find(INDEX)
    assert index is not None
    named = re.findall(r'(?:src|href)="(/[^"]+)"', index.forms[""].decode())
    first = [index, *(file for path in named if (file := files.find(path)) is not None)]
    assert len(first) == len(named) + 1
    # JetBrains Mono comes with the first text that is in it, so it counts as well.
    texts = b"".join(file.forms[""] for file in first)
    later = set(re.findall(rb"/assets/[\w.-]+\.(?:woff2|svg)", texts))
    first += [file for path in sorted(later) if (file := files.find(path.decode())) is not None]
    assert len(later) == 3  # two fonts and the icons
    total = sum(size(file) for file in first)
    assert total <= MOST_BYTES, {file.path: size(file) for file in first}
