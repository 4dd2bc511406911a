"""A provider over HTTPS: with the certificate of its own authority, without it, and with a certificate for another name."""
import subprocess

import pytest

from support.provider import Provider

KEY = "key-of-the-tests-0001"


def openssl(*arguments, directory):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)


class Authority:
    """An authority of our own, and certificates that it has signed."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.file = directory / f"{name}.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-keyout", f"{name}.key",
                "-out", self.file.name, directory=directory)

    def sign(self, name, alternative):
        """The files of a certificate for that subjectAltName and of its key."""
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", directory=self.directory)
        (self.directory / f"{name}.ext").write_text(f"subjectAltName={alternative}\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", self.file.name, "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.crt", directory=self.directory)
        return self.directory / f"{name}.crt", self.directory / f"{name}.key"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def https_process(authority):
    with Provider(tls=authority.sign("provider", "IP:127.0.0.1")) as process:
        yield process


@pytest.fixture
def https(https_process):
    https_process.reset()
    yield https_process
    https_process.reset()


@pytest.fixture
def make(make_server):
    def make(provider, ca_file=None, **env):
        settings = {"GUILD_OPENAI_BASE_URL": provider.base_url, "GUILD_OPENAI_MODEL": "test-model", "OPENAI_API_KEY": KEY}
        if ca_file:
            settings["GUILD_OPENAI_CA_FILE"] = str(ca_file)
        return make_server(env={**settings, **env})
    return make


def fails(server, provider):
    """A chat fails with provider_failed for its TLS, and nothing was asked: not one request, so no key, has reached the provider."""
    before = provider.log()
    with server.stream("hello") as stream:
        end = stream.collect()[-1]
    assert end.event == "streaming:error" and end.data["code"] == "provider_failed"
    assert provider.log() == before
    assert [row for row in server.log_lines() if row.get("reason") == "tls"], server.log()
    assert KEY not in server.log()


class TestOwnAuthority:
    def test_a_chat_streams(self, make, https, authority):
        server = make(https, authority.file)
        https.script({"deltas": ["over ", "TLS"]})
        with server.stream("hello") as stream:
            events = stream.collect()
        assert events[-1].event == "streaming:complete"
        assert "".join(e.data["delta"] for e in events if e.event == "streaming:update") == "over TLS"
        assert [entry["headers"]["authorization"] for entry in https.log()] == [f"Bearer {KEY}"]

    def test_a_file_of_several_authorities_will_do(self, make, https, authority, stranger, tmp_path):
        both = tmp_path / "both.pem"
        both.write_text(stranger.file.read_text() + authority.file.read_text())
        assert make(https, both).chat("hello").ok(200)["success"] is True


class TestNotTrusted:
    def test_without_the_file_nothing_is_sent(self, make, https):
        fails(make(https), https)

    def test_another_authority_s_file_does_not_help(self, make, https, stranger):
        fails(make(https, stranger.file), https)

    @pytest.mark.parametrize("alternative", ["DNS:elsewhere.example", "IP:127.0.0.2"])
    def test_a_certificate_for_another_name_is_refused(self, make, authority, alternative):
        with Provider(tls=authority.sign("wrong", alternative)) as wrong:
            fails(make(wrong, authority.file), wrong)

    def test_a_key_with_a_place_of_its_own_does_not_use_the_file(self, make, https, authority):
        server = make(https, authority.file, GUILD_SERVER_LOOPS="1")
        assert server.chat("leaves a connection open").ok(200)["success"] is True
        server.post("/v1/keys", {"provider": "openai", "key": "key-with-its-own-place", "base_url": https.base_url}).ok(201)
        fails(server, https)


class TestTheFile:
    def test_one_that_cannot_be_read_is_named_at_start(self, make_server, tmp_path):
        missing = tmp_path / "missing.pem"
        server = make_server(env={"GUILD_OPENAI_CA_FILE": str(missing)}, start=False)
        code, said = server.fails_to_start()
        assert code == 8 and "ca_file" in said and str(missing) in said

    def test_one_that_holds_no_certificate_fails_the_runs(self, make, https, tmp_path):
        empty = tmp_path / "empty.pem"
        empty.write_text("not a certificate\n")
        fails(make(https, empty), https)
