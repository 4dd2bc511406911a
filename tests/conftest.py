"""What every test shares: where the binding is, how Hypothesis behaves, which marks leave a test out."""
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

settings.register_profile("test", deadline=None, print_blob=True,
                          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("check", settings.get_profile("test"), max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_collection_modifyitems(items):
    if os.environ.get("GUILD_FAILPOINTS") == "1":
        return
    left_out = pytest.mark.skip(reason="the server under test has no failpoints (make check builds one)")
    for item in items:
        if "failpoints" in item.keywords:
            item.add_marker(left_out)
