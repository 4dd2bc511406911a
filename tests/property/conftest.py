"""Servers of whole files: what an example leaves behind disturbs no other."""
import pytest
from support import permission


@pytest.fixture(scope="module")
def governed(make_shared_server):
    return permission.Governed(make_shared_server(env={"GUILD_HTTP_RATE": "0"}))


@pytest.fixture(scope="module")
def lax(make_shared_server):
    """Where governance.mode is off."""
    return permission.Governed(make_shared_server(env={"GUILD_HTTP_RATE": "0", "GUILD_GOVERNANCE_MODE": "off"}))


@pytest.fixture(scope="module")
def scripted(make_shared_server, provider_process):
    provider_process.reset()
    server = make_shared_server(env={"GUILD_OPENAI_BASE_URL": provider_process.base_url, "GUILD_OPENAI_MODEL": "test-model",
                                     "OPENAI_API_KEY": "key-of-the-tests-0001", "GUILD_HTTP_RATE": "0"})
    yield server, provider_process
    provider_process.reset()


@pytest.fixture(scope="module")
def impatient(make_shared_server, provider_process):
    provider_process.reset()
    server = make_shared_server(env={"GUILD_OPENAI_BASE_URL": provider_process.base_url, "GUILD_OPENAI_MODEL": "test-model",
                                     "OPENAI_API_KEY": "key-of-the-tests-0001", "GUILD_EXECUTION_TOTAL_TIMEOUT": "0.6",
                                     "GUILD_EXECUTION_FIRST_BYTE_TIMEOUT": "0.3", "GUILD_EXECUTION_IDLE_TIMEOUT": "0.3"})
    yield server, provider_process, server.agent("One by one", "intern", max_concurrent_runs=1)["id"]
    provider_process.reset()


@pytest.fixture(scope="module")
def hasty(make_shared_server):
    server = make_shared_server(env={"GUILD_GOVERNANCE_APPROVAL_TTL": "1"})
    return server, server.agent("Hasty", "supervised")["id"]
