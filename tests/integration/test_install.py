"""What `meson install` puts down is enough to build against: header, both libraries, pkg-config file, and the program itself."""
import json
import os
import pathlib
import shlex
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["GUILD_BINARY"]).resolve().parent

pytestmark = pytest.mark.skipif(not (BUILD / "meson-private").is_dir(), reason="GUILD_BINARY is not in a build directory of meson")


def run(*command, env=None, cwd=None):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=100, check=False, cwd=cwd,
                          env={**os.environ, **(env or {})})
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


def option(name):
    """An option's value in that build directory."""
    options = json.loads(run("meson", "introspect", "--buildoptions", BUILD))
    return next(entry["value"] for entry in options if entry["name"] == name)


class Installed:
    def __init__(self, directory):
        self.directory = directory
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", directory)
        self.prefix = directory / option("prefix").lstrip("/")
        self.libraries = self.prefix / option("libdir")
        # What a build with sanitizers or coverage needs of the compiler, whoever links it.
        self.flags = [f"-fsanitize={option('b_sanitize')}"] if option("b_sanitize") != "none" else []
        self.flags += ["--coverage"] if option("b_coverage") else []

    def pkg_config(self, *arguments):
        """Its words. Only our own file is looked for below the directory: those of other packages lead to the system's."""
        own = {"PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(self.directory)}
        return shlex.split(run("pkg-config", *arguments, "guild", env=own))

    def compile(self, program, *pkg_config):
        run("cc", "-Wall", "-Wextra", "-Werror", *self.flags, ROOT / "examples/chat.c", *pkg_config, "-o", program)
        return program


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("destdir"))


def says_hello(program, **env):
    """Runs the example on a store in memory: events of one whole answer, then the reply."""
    *events, reply = run(program, ":memory:", "hello", env={"GUILD_LOG_LEVEL": "off", **env}).splitlines()
    events = [line.split(" ", 1) for line in events]
    assert [kind for kind, _ in events if kind != "streaming:update"][:2] == ["streaming:start", "streaming:complete"], events
    text = "".join(json.loads(data)["delta"] for kind, data in events if kind == "streaming:update")
    status, body = reply.split(" ", 1)
    body = json.loads(body)
    assert status == "200" and body["success"] is True
    assert body["response"] == text and "hello" in text.lower()


def links_against(program):
    return run("ldd", program)


class TestFiles:
    def test_everything_is_in_its_place(self, installed):
        for file in ("bin/guild", "include/guild.h", "share/doc/guild/LICENSE"):
            assert (installed.prefix / file).is_file(), file
        for file in ("libguild.so", "libguild.so.0", "libguild.a", "pkgconfig/guild.pc"):
            assert (installed.libraries / file).is_file(), file
        assert (installed.libraries / "libguild.so").is_symlink()

    def test_no_file_is_writable_for_others(self, installed):
        files = [path for path in installed.directory.rglob("*") if not path.is_symlink()]
        assert files and [path for path in files if path.stat().st_mode & stat.S_IWOTH] == []

    def test_the_program_says_the_version_of_the_package(self, installed):
        version = run(installed.prefix / "bin/guild", "--version")
        assert installed.pkg_config("--modversion")[0] in version

    def test_the_header_is_the_only_one_and_compiles_alone(self, installed, tmp_path):
        assert [path.name for path in (installed.prefix / "include").rglob("*.h")] == ["guild.h"]
        source = tmp_path / "alone.c"
        source.write_text("#include <guild.h>\nint alone(void) { return GUILD_OK; }\n")
        run("cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-c", source, *installed.pkg_config("--cflags"), "-o",
            tmp_path / "alone.o")


class TestBuildingAgainst:
    def test_the_shared_library(self, installed, tmp_path):
        program = installed.compile(tmp_path / "chat", *installed.pkg_config("--cflags", "--libs"))
        assert "libguild.so.0" in links_against(program)
        says_hello(program, LD_LIBRARY_PATH=str(installed.libraries))

    def test_the_static_library(self, installed, tmp_path):
        words = installed.pkg_config("--static", "--cflags", "--libs")
        archive = installed.libraries / "libguild.a"
        assert "-lguild" in words
        program = installed.compile(tmp_path / "chat", *[str(archive) if word == "-lguild" else word for word in words])
        assert "libguild" not in links_against(program)
        says_hello(program)
