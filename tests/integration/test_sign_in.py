"""The console's sign-in: a cookie made of a token, what it opens and what it does not, and who else's page may ask."""
import http.cookies
import sqlite3

import pytest
import websockets
from support.harness import Client, Raw, Socket

EVIL = "https://evil.example"
CONSOLE = "https://console.example"
PAGES = "https://pages.example"


class Browser(Client):
    """A client that has a cookie and no token; as a page of the server's own would, it says its origin and the CSRF token."""

    def __init__(self, server, token, headers=None):
        super().__init__(server.port, None)
        self.signed = self.post("/v1/auth/login", {"token": token}, headers=headers)
        self.cookie = self.csrf = None
        if self.signed.status == 200:
            self.morsel = http.cookies.SimpleCookie(self.signed.headers["set-cookie"])["guild_session"]
            self.cookie, self.csrf = f"guild_session={self.morsel.value}", self.signed.body["csrf_token"]

    def ask(self, method, path, body=None, **changes):
        """headers by name with _ for -; None leaves one out."""
        headers = {"Cookie": self.cookie, "Origin": self.url, "X-CSRF-Token": self.csrf if method not in ("GET", "HEAD") else None}
        headers.update({name.replace("_", "-"): value for name, value in changes.items()})
        return self.request(method, path, body, headers=headers)

    def socket(self, origin):
        return Socket(self.url, None, headers=[("Cookie", self.cookie)] + ([("Origin", origin)] if origin else []))


def token_of(client, **terms):
    return client.post("/v1/tokens", terms).ok(201)


def refused(reply, word):
    assert (reply.status, reply.code) == (403, "permission_denied") and word in reply.body["detail"], reply.text


def seconds_left(server, expires_at):
    with sqlite3.connect(":memory:") as clock:
        return clock.execute("SELECT (julianday(?) - julianday('now')) * 86400", (expires_at,)).fetchone()[0]


def upgrade_status(browser, origin):
    try:
        with browser.socket(origin):
            return 101
    except websockets.InvalidStatusCode as e:
        return e.status_code


@pytest.fixture(scope="module")
def listing(make_shared_server):
    """A server that lists origins."""
    return make_shared_server(env={"GUILD_HTTP_ORIGINS": CONSOLE, "GUILD_HTTP_CORS_ORIGINS": f"{PAGES} http://other.example:81"})


class TestLogin:
    def test_a_token_becomes_a_cookie(self, shared_server):
        user = shared_server.second_user("member")
        browser = Browser(shared_server, user.token)
        body = browser.signed.ok(200)
        assert body["principal"] == {name: value for name, value in user.get("/v1/me").body.items() if name not in ("scopes", "expires_at")}
        morsel = browser.morsel
        assert morsel["httponly"] and morsel["samesite"] == "Strict" and morsel["path"] == "/" and not morsel["secure"] and not morsel["domain"]
        assert int(morsel["max-age"]) == 12 * 3600 and 12 * 3600 - 60 < seconds_left(shared_server, body["expires_at"]) <= 12 * 3600 + 1
        assert browser.signed.headers["cache-control"] == "no-store"
        me = browser.ask("GET", "/v1/me").ok(200)
        assert me["id"] == user.id and me["csrf_token"] == browser.csrf and me["expires_at"] == body["expires_at"]
        assert "csrf_token" not in user.get("/v1/me").body

    def test_over_tls_the_cookie_is_for_tls_alone(self, shared_server):
        """A page that came over TLS says https."""
        browser = Browser(shared_server, shared_server.token, headers={"Origin": f"https://127.0.0.1:{shared_server.port}"})
        assert browser.morsel["secure"]

    def test_no_longer_than_its_token_and_with_its_scopes(self, shared_server):
        token = token_of(shared_server, expires_in_s=600, scopes=["social:read"])
        browser = Browser(shared_server, token["token"])
        assert browser.signed.body["expires_at"] == token["expires_at"] and 500 < int(browser.morsel["max-age"]) <= 600
        assert browser.ask("GET", "/v1/feed").status == 200
        assert "social:write" in browser.ask("POST", "/v1/posts", {"content": "x"}).body["detail"]
        assert browser.ask("POST", f"/v1/tokens/{token['id']}/rotate").status == 403, "a session is not the token"

    @pytest.mark.parametrize("body, status", [({"token": "guild_" + "x" * 43}, 401), ({"token": "x"}, 401), ({}, 422), ({"token": ""}, 422),
                                              ({"token": 7}, 422), (None, 400)])
    def test_what_is_no_token(self, shared_server, body, status):
        reply = shared_server.anonymous().post("/v1/auth/login", body)
        assert reply.status == status and "set-cookie" not in reply.headers

    def test_an_agent_has_no_console(self, shared_server):
        agent = shared_server.agent("No console", "autonomous", kind="external")["id"]
        token = shared_server.post(f"/v1/agents/{agent}/tokens").ok(201)["token"]
        refused(Browser(shared_server, token).signed, "console")

    def test_neither_secret_opens_the_other_s_door(self, shared_server):
        browser = Browser(shared_server, shared_server.token)
        assert shared_server.client(browser.morsel.value).get("/v1/me").status == 401
        assert Browser(shared_server, browser.morsel.value).signed.status == 401
        browser.cookie = f"guild_session={shared_server.token}"
        assert browser.ask("GET", "/v1/me").status == 401
        with Socket(shared_server.url, None) as socket:
            assert socket.ask({"type": "auth", "token": browser.morsel.value})["code"] == "unauthenticated"

    @pytest.mark.parametrize("headers", [{"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
    def test_no_foreign_page_signs_anybody_in(self, shared_server, headers):
        """T11"""
        refused(Browser(shared_server, shared_server.token, headers=headers).signed, "origin")

    def test_failures_count_for_the_address(self, make_server):
        """Cookies that are none and tokens that are none count together; a good one then is not looked at either."""
        server = make_server(env={"GUILD_HTTP_SIGN_IN_RATE": "1"})
        anonymous = server.anonymous()
        assert anonymous.post("/v1/auth/login", {"token": "guild_" + "x" * 43}).status == 401
        assert anonymous.get("/v1/me", headers={"Cookie": "guild_session=gsess_" + "x" * 43}).status == 401
        statuses = [anonymous.post("/v1/auth/login", {"token": "no"}).status for _ in range(3)]
        assert statuses[-1] == 429
        good = anonymous.post("/v1/auth/login", {"token": server.token})
        assert good.status == 429 and good.headers["retry-after"]

    def test_it_is_audited_and_hashed(self, server):
        browser = Browser(server, server.token)
        browser.ask("POST", "/v1/auth/logout").ok(204)
        rows = [row for row in server.items("/v1/audit?limit=100") if "session_id" in str(row["change"])]
        out, into = rows
        assert (into["action"], out["action"]) == ("grant", "revoke")
        assert into["change"]["new"] == out["change"]["old"] and into["change"]["new"]["token_id"]
        assert into["principal"]["id"] == server.get("/v1/me").body["id"]
        browser = Browser(server, server.token)
        server.stop()
        for file in server.data.iterdir():
            if file.is_file():
                assert browser.morsel.value.encode() not in file.read_bytes() and browser.csrf.encode() not in file.read_bytes(), file


class TestCookie:
    def test_an_effect_wants_the_csrf_token(self, shared_server):
        """T11: of this sign-in, once, whole."""
        browser, other = (Browser(shared_server, shared_server.token) for _ in range(2))
        browser.ask("POST", "/v1/sessions", {}).ok(201)
        for csrf in (None, "", other.csrf, browser.csrf[:-1], browser.csrf.upper(), browser.morsel.value):
            refused(browser.ask("POST", "/v1/sessions", {}, X_CSRF_Token=csrf), "X-CSRF-Token")
        for method, path, body in (("PATCH", "/v1/sessions/x", {"title": "t"}), ("DELETE", "/v1/sessions/x", None), ("POST", "/v1/auth/logout", None),
                                   ("PUT", "/v1/policy/search", {"level": 2})):
            refused(browser.ask(method, path, body, X_CSRF_Token=None), "X-CSRF-Token")
        assert browser.ask("GET", "/v1/sessions").status == 200 and browser.ask("HEAD", "/v1/sessions").status == 200

    @pytest.mark.parametrize("headers", [{"Origin": EVIL}, {"Origin": "null"}, {"Origin": "http://127.0.0.1"},
                                         {"Origin": None, "Sec_Fetch_Site": "cross-site"},
                                         {"Origin": None, "Sec_Fetch_Site": "same-site"}])
    def test_an_effect_wants_an_origin_that_is_known(self, shared_server, headers):
        """T11: also with the right CSRF token."""
        refused(Browser(shared_server, shared_server.token).ask("POST", "/v1/sessions", {}, **headers), "origin")

    def test_without_an_origin(self, shared_server):
        """Some browsers leave it out, and clients that are none; the CSRF token is what counts."""
        browser = Browser(shared_server, shared_server.token)
        browser.ask("POST", "/v1/sessions", {}, Origin=None).ok(201)
        browser.ask("POST", "/v1/sessions", {}, Origin=None, Sec_Fetch_Site="same-origin").ok(201)

    def test_a_body_is_json(self, shared_server):
        """T11: what a form can send is not taken."""
        browser = Browser(shared_server, shared_server.token)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert browser.ask("POST", "/v1/sessions", b"{}", Content_Type=kind).status == 415

    def test_a_token_goes_before_it(self, shared_server):
        """With Authorization the cookie means nothing: neither who one is, nor what it asks for."""
        user = shared_server.second_user("viewer")
        browser = Browser(shared_server, shared_server.token)
        sign = f"Bearer {user.token}"
        assert browser.ask("GET", "/v1/me", Authorization=sign).body["id"] == user.id
        assert browser.ask("POST", "/v1/tokens", {}, Authorization=sign, X_CSRF_Token=None, Origin=EVIL).status == 201
        for broken in ("Bearer guild_none", "Basic eDp5", ""):
            assert browser.ask("GET", "/v1/me", Authorization=broken).status == 401

    def test_two_of_that_name_are_none(self, shared_server):
        browser = Browser(shared_server, shared_server.token)
        assert browser.ask("GET", "/v1/me", Cookie=f"{browser.cookie}; {browser.cookie}").status == 401
        assert browser.ask("GET", "/v1/me", Cookie=f"theme=dark; {browser.cookie};lang=en").status == 200
        raw = Raw(shared_server.port)
        raw.send(f"GET /v1/me HTTP/1.1\r\nHost: x\r\nCookie: {browser.cookie}\r\nCookie: {browser.cookie}\r\n\r\n".encode())
        assert raw.reply().status == 401
        raw.close()

    def test_nothing_of_it_in_a_url(self, shared_server):
        """T12"""
        browser = Browser(shared_server, shared_server.token)
        for name in ("token", "access_token", "api_key"):
            assert browser.ask("GET", f"/v1/me?{name}={browser.morsel.value}").status == 400
        assert browser.ask("GET", "/v1/me").headers["referrer-policy"] == "no-referrer"

    def test_it_survives_a_restart(self, server):
        browser = Browser(server, server.token)
        server.restart()
        browser.port = server.port
        browser.ask("POST", "/v1/sessions", {}).ok(201)


class TestSockets:
    def test_the_origin_is_looked_at_before_101(self, listing):
        """T10: with a cookie there has to be one, and a known one."""
        browser = Browser(listing, listing.token)
        for origin in (EVIL, "null", None, CONSOLE + ".evil.example"):
            assert upgrade_status(browser, origin) == 403, origin
        for origin in (browser.url, CONSOLE, PAGES):
            with browser.socket(origin) as socket:
                assert socket.ask({"type": "subscribe", "topics": ["room"]})["type"] == "ok"

    def test_with_a_token_there_may_be_none(self, shared_server):
        with shared_server.ws() as socket:
            assert socket.ask({"type": "ping"})["type"] == "pong"


def by_logout(server, token, browser, user):
    reply = browser.ask("POST", "/v1/auth/logout")
    assert reply.status == 204 and "guild_session=;" in reply.headers["set-cookie"] and "Max-Age=0" in reply.headers["set-cookie"]


def by_revoking(server, token, browser, user):
    user.delete(f"/v1/tokens/{token['id']}").ok(204)


def by_rotating(server, token, browser, user):
    user.post(f"/v1/tokens/{token['id']}/rotate").ok(201)


def by_disabling(server, token, browser, user):
    server.patch(f"/v1/users/{user.id}", {"disabled": True}).ok(200)


def by_removing(server, token, browser, user):
    server.delete(f"/v1/users/{user.id}").ok(204)


def by_a_role(server, token, browser, user):
    server.patch(f"/v1/users/{user.id}", {"role": "viewer"}).ok(200)


def by_sixteen_more(server, token, browser, user):
    for _ in range(16):
        assert Browser(server, token["token"]).signed.status == 200


class TestEnd:
    @pytest.mark.parametrize("ending", [by_logout, by_revoking, by_rotating, by_disabling, by_removing, by_a_role, by_sixteen_more])
    def test_it_ends_with_what_is_open(self, shared_server, ending):
        user = shared_server.second_user("member")
        token = token_of(user)
        browser = Browser(shared_server, token["token"])
        with browser.socket(browser.url) as socket:
            assert socket.ask({"type": "ping"})["type"] == "pong"
            ending(shared_server, token, browser, user)
            assert socket.close_code() == 4001
        assert browser.ask("GET", "/v1/me").status == 401
        if ending is by_disabling:
            shared_server.patch(f"/v1/users/{user.id}", {"disabled": False}).ok(200)
            assert browser.ask("GET", "/v1/me").status == 401 and user.get("/v1/me").status == 200

    def test_it_ends_with_its_time(self, shared_server):
        browser = Browser(shared_server, token_of(shared_server, expires_in_s=1)["token"])
        with browser.socket(browser.url) as socket:
            assert socket.close_code() == 4001
        assert browser.ask("GET", "/v1/me").status == 401

    def test_others_go_on(self, shared_server):
        """Logging out ends one session: not the token, nor another session of it."""
        user = shared_server.second_user("member")
        one, other = (Browser(shared_server, user.token) for _ in range(2))
        with other.socket(other.url) as socket, user.ws() as plain:
            one.ask("POST", "/v1/auth/logout").ok(204)
            assert one.ask("GET", "/v1/me").status == 401
            assert socket.ask({"type": "ping"})["type"] == "pong" and plain.ask({"type": "ping"})["type"] == "pong"
        assert other.ask("GET", "/v1/me").status == 200

    def test_no_token_of_its_own(self, shared_server):
        """Sessions are not listed, and take no room of the quota of tokens."""
        user = shared_server.second_user("member")
        before = user.items("/v1/tokens")
        browser = Browser(shared_server, user.token)
        assert user.items("/v1/tokens") == before
        browser.ask("POST", "/v1/auth/logout").ok(204)
        assert user.post("/v1/auth/logout").status == 204 and user.get("/v1/me").status == 200


class TestCors:
    def preflight(self, server, origin, path="/v1/sessions", method="POST"):
        return server.anonymous().request("OPTIONS", path, headers={"Origin": origin, "Access-Control-Request-Method": method,
                                                                    "Access-Control-Request-Headers": "content-type,x-csrf-token"})

    @staticmethod
    def says(reply):
        return {name for name in reply.headers if name.startswith("access-control-")}

    def test_off_unless_configured(self, shared_server):
        for reply in (self.preflight(shared_server, PAGES), shared_server.get("/v1/me", headers={"Origin": PAGES})):
            assert not self.says(reply) and "vary" not in reply.headers

    def test_a_listed_origin_may_ask(self, listing):
        reply = self.preflight(listing, PAGES)
        assert reply.status == 204 and reply.headers["access-control-allow-origin"] == PAGES and "Origin" in reply.headers["vary"]
        assert "POST" in reply.headers["access-control-allow-methods"] and reply.headers["access-control-max-age"] == "600"
        assert {"Authorization", "Content-Type", "X-CSRF-Token", "Idempotency-Key"} <= set(reply.headers["access-control-allow-headers"].split(", "))
        assert reply.headers["access-control-allow-credentials"] == "true"
        for path, token in (("/v1/me", listing.token), ("/v1/me", None), ("/no/such/path", listing.token)):
            answer = Client(listing.port, token).get(path, headers={"Origin": PAGES})
            assert answer.headers["access-control-allow-origin"] == PAGES and answer.headers["vary"] == "Origin"
        stream = listing.stream("hello", headers={"Origin": PAGES})
        assert stream.headers["access-control-allow-origin"] == PAGES
        stream.close()

    @pytest.mark.parametrize("origin", [EVIL, "null", "*", CONSOLE, PAGES + ":444", PAGES + ".evil.example", "http://pages.example"])
    def test_no_other_hears_that_it_may(self, listing, origin):
        """Those of http.origins use sockets and the cookie; reading answers is for cors_origins."""
        for reply in (self.preflight(listing, origin), listing.get("/v1/me", headers={"Origin": origin})):
            assert not self.says(reply) and reply.headers["vary"] == "Origin"

    def test_with_the_cookie(self, listing):
        """Who may ask may act, with the CSRF token as everybody."""
        for origin in (CONSOLE, PAGES):
            browser = Browser(listing, listing.token, headers={"Origin": origin})
            browser.ask("POST", "/v1/sessions", {}, Origin=origin, Sec_Fetch_Site="cross-site").ok(201)
            refused(browser.ask("POST", "/v1/sessions", {}, Origin=origin, X_CSRF_Token=None), "X-CSRF-Token")
            refused(browser.ask("POST", "/v1/sessions", {}, Origin=EVIL), "origin")

    @pytest.mark.parametrize("value", ["*", "null", "https://*.example", "https://a.example/", "a.example", "https://"])
    def test_what_is_no_origin_stops_the_start(self, make_server, value):
        server = make_server(start=False)
        done = server.cli("serve", "--data", str(server.data), env={"GUILD_HTTP_CORS_ORIGINS": value})
        assert done.returncode != 0 and "cors_origins" in done.stderr
