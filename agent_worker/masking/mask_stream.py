"""Masks a stream that comes in pieces: whatever the pieces are, the output is that of the whole.

The end of a piece that may be the beginning of a value is kept back until more comes. A console can't wait for that
when a process asks a question: ``let_go`` shows what is so short that it says little of a value.
"""

from __future__ import annotations

from agent_worker.masking.forms import MIN_BYTES
from agent_worker.masking.masker import MASK, Masker, united


class MaskStream:
    """``_rest`` is kept back. Of its bytes the first ``_masked`` are within a value that was shown as masked, and those
    up to ``_shown`` were let go."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._rest = b""
        self._masked = self._shown = 0

    @property
    def keeps(self) -> bool:
        """True while something may be let go."""
        return self._shown < len(self._rest) < MIN_BYTES

    def feed(self, chunk: bytes) -> bytes:
        data = self._rest + chunk
        return self._show(data, self._masker.tail(data))

    def end(self) -> bytes:
        """The rest. What may be the beginning of a value, cut off, is masked."""
        data, is_masked = self._rest, bool(self._masked)
        text = self._show(data, len(data))
        if len(data) < MIN_BYTES:
            return text
        return b"" if is_masked else MASK

    def let_go(self) -> bytes:
        """Shows what is kept back, if it is short; what comes next may still make it a value."""
        if not self.keeps:
            return b""
        text, self._shown = self._rest[self._shown :], len(self._rest)
        return text

    def _show(self, data: bytes, until: int) -> bytes:
        """The bytes up to ``until``; the others are kept back."""
        before = [(0, self._masked)] if self._masked else []
        pieces, at, masked = [], self._shown, 0
        for begin, end in united([*before, *self._masker.spans(data)]):
            goes_on = begin == 0 and self._masked > 0
            if begin >= until and not goes_on:
                break
            if not goes_on:
                pieces += [data[at:begin], MASK]
            at, masked = max(at, end), end
        pieces.append(data[at:until])
        self._rest = data[until:]
        self._masked, self._shown = max(0, masked - until), max(0, at - until)
        return b"".join(pieces)
