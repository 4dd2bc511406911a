"""What every test shares: where binary and binding are, running servers and the scripted provider, how Hypothesis behaves,
which marks leave a test out."""
import os
import pathlib
import sys

import pytest
from hypothesis import HealthCheck, settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bindings" / "python"))
sys.path.insert(0, str(ROOT / "tests"))
os.environ.setdefault("GUILD_BINARY", str(ROOT / "build" / "guild"))
os.environ.setdefault("GUILD_LIBRARY", str(ROOT / "build" / "libguild.so"))
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

from support.harness import Server  # noqa: E402
from support.provider import Provider  # noqa: E402

settings.register_profile("test", deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large,
                                                 HealthCheck.function_scoped_fixture])
settings.register_profile("check", settings.get_profile("test"), max_examples=300)
settings.register_profile("long", settings.get_profile("test"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))

_servers = []  # that run now; their logs are shown with a failure
_LOG_SHOWN = 6000


def pytest_collection_modifyitems(items):
    if os.environ.get("GUILD_FAILPOINTS") == "1":
        return
    left_out = pytest.mark.skip(reason="the server under test has no failpoints (make check builds one)")
    for item in items:
        if "failpoints" in item.keywords:
            item.add_marker(left_out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in _servers:
            report.sections.append((f"log of the server on port {server.port}", server.log()[-_LOG_SHOWN:]))


def _factory(tmp_path_factory):
    made = []

    def make(data=None, env=None, config=None, arguments=(), start=True):
        directory = data or tmp_path_factory.mktemp("guild") / "data"
        server = Server(directory, env=env, config=config, arguments=arguments, start=False)
        made.append(server)
        _servers.append(server)
        return server.start() if start else server

    def finish():
        problems = []
        for server in reversed(made):
            try:
                server.finish()
            except AssertionError as problem:
                problems.append(str(problem))
            finally:
                _servers.remove(server)
        assert not problems, "\n".join(problems)
    return make, finish


@pytest.fixture
def make_server(tmp_path_factory):
    """make_server(env={...}, config="[http]...", data=DIR, start=False): servers that end with the test."""
    make, finish = _factory(tmp_path_factory)
    yield make
    finish()


@pytest.fixture
def server(make_server):
    """A fresh server with the builtin responder."""
    return make_server()


@pytest.fixture(scope="module")
def make_shared_server(tmp_path_factory):
    """make_server for servers that live as long as the tests of their file."""
    make, finish = _factory(tmp_path_factory)
    yield make
    finish()


@pytest.fixture(scope="module")
def shared_server(make_shared_server):
    """One server for the tests of a file that leave nothing behind which would disturb the others."""
    return make_shared_server()


@pytest.fixture(scope="session")
def provider_process():
    with Provider() as process:
        yield process


@pytest.fixture
def provider(provider_process):
    """The scripted provider, with an empty script and log."""
    provider_process.reset()
    yield provider_process
    provider_process.reset()


def provider_env(provider):
    return {"GUILD_OPENAI_BASE_URL": provider.base_url, "GUILD_OPENAI_MODEL": "test-model", "OPENAI_API_KEY": "key-of-the-tests-0001"}


@pytest.fixture
def make_server_with_provider(make_server, provider):
    """make_server whose servers ask the scripted provider."""
    def make(env=None, **options):
        return make_server(env={**provider_env(provider), **(env or {})}, **options)
    return make


@pytest.fixture
def server_with_provider(make_server_with_provider):
    """A fresh server that asks the scripted provider."""
    return make_server_with_provider()
