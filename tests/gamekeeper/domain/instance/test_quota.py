"""A quota refuses what makes its owner's instances more than it lets in, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamekeeper.domain.instance.quota import Quota, QuotaUse, exceeded

GIB = 2**30


@pytest.mark.parametrize(
    ("quota", "before", "after", "words"),
    [
        (Quota(), QuotaUse(), QuotaUse(9, 9.0, 9 * GIB, 9), []),
        (Quota(instances=3), QuotaUse(2), QuotaUse(3), []),
        (Quota(instances=3), QuotaUse(3), QuotaUse(4), ["3 of 3 instances are used, and 1 more is asked for"]),
        (Quota(instances=0), QuotaUse(), QuotaUse(1), ["0 of 0 instances are used, and 1 more is asked for"]),
        (
            Quota(cpus=4.0, ports=6),
            QuotaUse(1, 3.5, 0, 4),
            QuotaUse(2, 4.5, 0, 8),
            ["3.5 of 4 CPUs are used, and 1 more is asked for", "4 of 6 ports are used, and 4 more is asked for"],
        ),
        (
            Quota(memory_bytes=8 * GIB),
            QuotaUse(1, 0, 7 * GIB),
            QuotaUse(1, 0, 9 * GIB),
            ["7.0 GiB of 8.0 GiB of memory are used, and 2.0 GiB more is asked for"],
        ),
        (Quota(cpus=1.0), QuotaUse(2, 4.0), QuotaUse(2, 3.0), []),
        (Quota(cpus=1.0), QuotaUse(2, 4.0), QuotaUse(2, 4.0, 0, 1), []),
    ],
)
def test_words(quota: Quota, before: QuotaUse, after: QuotaUse, words: list[str]) -> None:
    assert exceeded(quota, before, after) == words


def test_what_comes_up_again_needs_its_owner_within_the_quota() -> None:
    held = QuotaUse(2, 4.0)
    assert exceeded(Quota(cpus=1.0), held, held) == []
    assert exceeded(Quota(cpus=1.0), held, held, comes_up=True) == ["4 of 1 CPUs are used"]
    assert exceeded(Quota(cpus=4.0), held, held, comes_up=True) == []


@given(st.lists(st.integers(min_value=1, max_value=99), max_size=200))
def test_sums_of_tenths_fill_a_quota_to_its_end(tenths: list[int]) -> None:
    """Rounding of sums refuses nobody what fits."""
    total = 0.0
    for each in tenths:
        total += each / 10
    assert exceeded(Quota(cpus=sum(tenths) / 10), QuotaUse(), QuotaUse(1, total)) == []
