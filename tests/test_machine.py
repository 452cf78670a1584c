"""What is said and set about the machine's GPU; torch's answers stand in where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fsgan_bench.system.machine import description, prepare


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves torch's settings as they were."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    rounded: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    before = [each.allow_tf32 for each in rounded]
    chosen = torch.are_deterministic_algorithms_enabled()
    for each in rounded:
        each.allow_tf32 = True
    yield
    torch.use_deterministic_algorithms(chosen)
    for each, value in zip(rounded, before, strict=True):
        each.allow_tf32 = value


def test_a_gpu_computes_repeatably_and_in_float32(as_before: None) -> None:
    prepare(1, "cuda")
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_cpu_is_left_as_it_is(as_before: None) -> None:
    prepare(1)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_results_name_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU, {device}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert description("cuda:1")["accelerator"] == "a GPU, cuda:1; CUDA 13.0"
    assert "accelerator" not in description()
