"""People as admins see them: what they may judge, their role, and that they are gone."""
import pytest

NOBODY = "00000000-0000-7000-8000-000000000000"


class TestSpecialty:
    def test_kept_and_told(self, server):
        user = server.second_user()
        changed = server.patch(f"/v1/users/{user.id}", {"specialty": ["support", "sales \u00e9"]}).ok(200)
        assert changed["specialty"] == ["support", "sales \u00e9"]
        entry = server.get("/v1/audit?action=update&limit=1").ok(200)["items"][0]["change"]
        assert (entry["old"]["specialty"], entry["new"]["specialty"]) == ([], changed["specialty"])
        server.restart()
        assert user.get("/v1/me").ok(200)["specialty"] == changed["specialty"]
        assert server.patch(f"/v1/users/{user.id}", {"name": "Else"}).ok(200)["specialty"] == changed["specialty"]
        assert server.patch(f"/v1/users/{user.id}", {"specialty": []}).ok(200)["specialty"] == []

    @pytest.mark.parametrize("wrong", [["a\nb"], [""], [7], ["x" * 65], ["a"] * 33, "support"])
    def test_what_is_none(self, shared_server, wrong):
        user = shared_server.second_user()
        reply = shared_server.patch(f"/v1/users/{user.id}", {"specialty": wrong})
        assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/specialty"), reply.text

    def test_nobody_gives_it_to_oneself(self, shared_server):
        """T3, T4"""
        user = shared_server.second_user()
        assert user.patch(f"/v1/users/{user.id}", {"specialty": ["support"]}).status == 403
        assert user.get("/v1/me").ok(200)["specialty"] == []


class TestGone:
    def test_tokens_and_sockets_end(self, server):
        """T14: at once, for good, also when somebody enables the user again."""
        user = server.second_user()
        session = user.post("/v1/sessions", {"title": "theirs"}).ok(201)["id"]
        with user.ws() as socket:
            server.delete(f"/v1/users/{user.id}").ok(204)
            assert socket.close_code() == 4001
        assert user.get("/v1/me").status == 401
        assert server.get(f"/v1/users/{user.id}").ok(200)["disabled_at"]
        assert server.get(f"/v1/sessions/{session}").status == 200
        server.delete(f"/v1/users/{user.id}").ok(204)
        server.patch(f"/v1/users/{user.id}", {"disabled": False}).ok(200)
        assert user.get("/v1/me").status == 401
        assert len(server.items("/v1/audit?action=revoke")) == 2

    def test_who_may(self, server):
        """T4"""
        admin, user = server.second_user("admin"), server.second_user()
        me = server.get("/v1/me").ok(200)["id"]
        assert user.delete(f"/v1/users/{admin.id}").status == 403
        assert admin.delete(f"/v1/users/{me}").status == 403
        assert admin.delete(f"/v1/users/{admin.id}").status == 403
        assert admin.delete(f"/v1/users/{NOBODY}").status == 404
        admin.delete(f"/v1/users/{user.id}").ok(204)

    def test_command_line(self, server):
        user = server.second_user("member", name="leaver")
        assert server.cli("user", "remove", "leaver").returncode == 0
        assert user.get("/v1/me").status == 401
        assert server.cli("user", "remove", "nobody-here").returncode == 5
