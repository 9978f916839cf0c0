"""
What every test may use.
"""

import pytest
from postgres_server import PostgresServer, server


@pytest.fixture(name="postgres", scope="session")
def _postgres() -> PostgresServer:
    return server()
