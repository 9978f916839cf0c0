"""
Files made once; tests work on copies of them.
"""

import shutil

import pytest
from damage import rich

from . import kit


@pytest.fixture(name="session_original", scope="session")
def _session_original(tmp_path_factory):
    path = tmp_path_factory.mktemp("tools") / "chat.db"
    rich.build(path)
    return path


@pytest.fixture(name="deployment_original", scope="session")
def _deployment_original(tmp_path_factory):
    path = tmp_path_factory.mktemp("tools") / "deployment.db"
    kit.build_deployment(path)
    return path


@pytest.fixture(name="chat")
def _chat(session_original, tmp_path):
    return shutil.copy(session_original, tmp_path / "chat.db")


@pytest.fixture(name="deployment")
def _deployment(deployment_original, tmp_path):
    return shutil.copy(deployment_original, tmp_path / "deployment.db")
