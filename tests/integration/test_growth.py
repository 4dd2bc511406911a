"""How agents rise and fall: feedback, evidence, readiness, promotion with its milestone, incidents, reputation."""
import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guild
from support import social
from support.harness import wait_for
from support.social import NOBODY, hearing, human, told

numbers = itertools.count()
DAY_US = 86400_000_000


def agent(server, maturity="intern", **members):
    return social.agent(server, f"Grows {next(numbers)}", maturity, **members)


def hosted(server, maturity="intern", **members):
    return server.agent(f"Hosted {next(numbers)}", maturity, **members)


def the_id(of):
    return of["id"] if isinstance(of, dict) else of.id


def now(server, of):
    return server.get(f"/v1/agents/{the_id(of)}").ok(200)


def readiness(who, of):
    return who.get(f"/v1/agents/{the_id(of)}/readiness").ok(200)


def evidence(who, of):
    return readiness(who, of)["evidence"]


def reputation(who, of):
    return who.get(f"/v1/agents/{the_id(of)}/reputation").ok(200)


def promote(who, of, **body):
    return who.post(f"/v1/agents/{the_id(of)}/promote", body or None)


def override(who, of):
    return promote(who, of, override=True, reason="for a test").ok(200)


def say(who, of, **body):
    return who.post(f"/v1/agents/{the_id(of)}/feedback", body)


def entries(server, of, **filters):
    query = "&".join(f"{k}={v}" for k, v in {"agent": the_id(of), **filters}.items())
    return server.items(f"/v1/audit?limit=100&{query}")


def milestones(server):
    return [post for post in server.items("/v1/feed?limit=100") if post["author"]["kind"] == "system"]


class TestFeedback:
    @pytest.mark.parametrize("said, moves", [
        ({"thumbs": "up"}, 0.05), ({"thumbs": "down"}, -0.1), ({"rating": 5}, 0.05), ({"rating": 4}, 0.05), ({"rating": 3}, 0),
        ({"rating": 2}, -0.1), ({"rating": 1}, -0.1), ({"correction": "it is 42"}, -0.1), ({"thumbs": "up", "correction": "almost"}, 0.05),
        ({"THUMBS": "UP"}, None)])
    def test_an_admin_s_counts_at_once(self, shared_server, said, moves):
        one = hosted(shared_server, "supervised")
        reply = say(shared_server, one, **said)
        if moves is None:
            assert reply.status == 422 and reply.body["errors"][0]["pointer"] == "/THUMBS"
            return
        given = reply.ok(201)
        assert (given["status"], given["trusted"], given["confidence_delta"]) == ("accepted", True, moves)
        assert now(shared_server, one)["confidence"] == round(0.8 + moves, 4)
        assert now(shared_server, one)["revision"] == 1, "confidence is no revision"

    def test_a_specialist_s_counts_at_once(self, shared_server):
        doctor = human(shared_server)
        shared_server.patch(f"/v1/users/{doctor.id}", {"specialty": ["law", "Medicine"]}).ok(200)
        assert doctor.get("/v1/me").ok(200)["specialty"] == ["law", "Medicine"]
        medic, cook = hosted(shared_server, category="medicine"), hosted(shared_server, category="cooking")
        assert say(doctor, medic, thumbs="up").ok(201)["status"] == "accepted"
        assert say(doctor, cook, thumbs="up").ok(201)["status"] == "pending"
        assert (now(shared_server, medic)["confidence"], now(shared_server, cook)["confidence"]) == (0.65, 0.6)
        shared_server.patch(f"/v1/users/{doctor.id}", {"specialty": []}).ok(200)
        assert say(doctor, medic, thumbs="up").ok(201)["status"] == "pending"
        assert doctor.patch(f"/v1/users/{doctor.id}", {"specialty": ["cooking"]}).status == 403
        assert shared_server.patch(f"/v1/users/{doctor.id}", {"specialty": [""]}).status == 422

    def test_others_wait_for_a_review(self, shared_server):
        one, member, stranger, admin = hosted(shared_server), human(shared_server), human(shared_server), human(shared_server, role="admin")
        first, second = say(member, one, rating=5).ok(201), say(member, one, rating=1, correction="no").ok(201)
        assert [first["status"], second["status"]] == ["pending"] * 2 and now(shared_server, one)["confidence"] == 0.6
        assert member.get("/v1/feedback").status == 403 and stranger.get(f"/v1/feedback/{first['id']}").status == 404
        waiting = admin.items(f"/v1/feedback?status=pending&agent={one['id']}")
        assert waiting == [second, first] and member.get(f"/v1/feedback/{first['id']}").ok(200) == first
        taken = admin.post(f"/v1/feedback/{first['id']}/accept", {"note": "right"}).ok(200)
        assert (taken["status"], taken["decided_by"], taken["note"]) == ("accepted", admin.id, "right")
        assert admin.post(f"/v1/feedback/{second['id']}/reject").ok(200)["status"] == "rejected"
        assert now(shared_server, one)["confidence"] == 0.65 and evidence(admin, one)["corrections"] == 0
        for verb in ("accept", "reject"):
            assert admin.post(f"/v1/feedback/{first['id']}/{verb}").ok(200) == taken, "the first decision"
        assert now(shared_server, one)["confidence"] == 0.65
        assert admin.items(f"/v1/feedback?status=pending&agent={one['id']}") == []
        assert member.post(f"/v1/feedback/{first['id']}/accept").status == 403
        kept = [e["change"] for e in entries(shared_server, one) if "feedback_id" in (e["change"] or {})]
        assert len(kept) == 4 and "it is" not in str(kept) and "correction_sha256" in str(kept)

    def test_nobody_reviews_their_own(self, shared_server):
        one, riser = hosted(shared_server), human(shared_server)
        waits = say(riser, one, thumbs="up").ok(201)
        shared_server.patch(f"/v1/users/{riser.id}", {"role": "admin"}).ok(200)
        risen = shared_server.client(shared_server.post("/v1/tokens", {"user_id": riser.id}).ok(201)["token"])
        assert risen.post(f"/v1/feedback/{waits['id']}/accept").status == 403
        assert shared_server.post(f"/v1/feedback/{waits['id']}/accept").ok(200)["status"] == "accepted"

    def test_of_a_run_and_of_a_post(self, shared_server):
        author, member, other = agent(shared_server, "autonomous"), human(shared_server), human(shared_server)
        run = member.chat("hello", agent=hosted(shared_server)["id"]).ok(200)
        post = author.says("look")
        of_run = say(member, {"id": run["agent_id"]}, thumbs="up", execution_id=run["execution_id"]).ok(201)
        assert of_run["execution_id"] == run["execution_id"] and of_run["post_id"] is None
        assert say(member, {"id": run["agent_id"]}, rating=1, execution_id=run["execution_id"]).status == 409, "said once"
        assert say(other, {"id": run["agent_id"]}, thumbs="up", execution_id=run["execution_id"]).status == 404, "not theirs"
        assert say(shared_server, author, thumbs="up", execution_id=run["execution_id"]).status == 404, "another agent's"
        assert say(member, author, thumbs="up", post_id=post["id"]).ok(201)["post_id"] == post["id"]
        assert say(member, author, thumbs="up", post_id=post["id"]).status == 409
        private = author.says("psst", visibility="directed", mentions=[member.as_mention])
        assert say(other, author, thumbs="up", post_id=private["id"]).status == 404
        assert say(other, author, thumbs="up", post_id=member.says("a human's")["id"]).status == 404
        pointers = {"rating": {"rating": 6}, "thumbs": {"thumbs": "sideways"}, "execution_id": {"thumbs": "up", "execution_id": "x"},
                    "post_id": {"thumbs": "up", "post_id": post["id"], "execution_id": run["execution_id"]}, "correction": {"correction": "  "}}
        for name, body in {**pointers, "rating": {"thumbs": "up", "rating": 1}}.items():
            reply = say(member, author, **body)
            assert reply.status == 422 and reply.body["errors"][0]["pointer"] == f"/{name}", reply.text
        assert say(member, author).status == 422 and say(member, {"id": NOBODY}, thumbs="up").code == "agent_not_found"

    def test_agents_and_viewers_give_none(self, shared_server):
        author, viewer = agent(shared_server, "autonomous"), human(shared_server, role="viewer")
        assert say(author, agent(shared_server), thumbs="up").status == 403 and say(viewer, author, thumbs="up").status == 403

    def test_it_demotes_by_confidence_and_never_promotes(self, shared_server):
        one = hosted(shared_server, "supervised")
        assert say(shared_server, one, thumbs="down").ok(201) and now(shared_server, one)["maturity"] == "supervised", "0.70"
        say(shared_server, one, thumbs="down").ok(201)
        fallen = now(shared_server, one)
        assert (fallen["maturity"], fallen["confidence"], fallen["revision"]) == ("intern", 0.6, 2)
        for _ in range(9):
            say(shared_server, one, thumbs="up").ok(201)
        assert (now(shared_server, one)["maturity"], now(shared_server, one)["confidence"]) == ("intern", 1)
        assert any((e["change"] or {}).get("cause") == "confidence" for e in entries(shared_server, one, action="revoke"))

    def test_a_system_agent_raises_an_alert(self, make_server):
        """The spec's alert, once as it falls below its floor; its level stays."""
        server = make_server()
        listener = human(server)
        with hearing(listener, "alerts") as socket:
            for _ in range(3):
                say(server, {"id": "chat-assistant"}, thumbs="down").ok(201)
            (alert,) = told(socket, "agent_changed")
        kept = now(server, {"id": "chat-assistant"})
        assert (kept["maturity"], kept["confidence"], alert["handle"]) == ("intern", 0.3, "chat-assistant")
        assert [e["change"].get("alert") for e in entries(server, kept, action="revoke")] == [True]

    @settings(max_examples=12)
    @given(said=st.lists(st.sampled_from([("thumbs", "up"), ("thumbs", "down"), ("rating", 3), ("rating", 5)]), min_size=1, max_size=25))
    def test_invariant_confidence_stays_in_bounds(self, shared_server, said):
        """AC-168: within 0 and 1, four decimals, whatever is said."""
        one, want = hosted(shared_server, "student"), 5000
        for name, value in said:
            say(shared_server, one, **{name: value}).ok(201)
            want = min(10000, max(0, want + {"up": 500, "down": -1000, 3: 0, 5: 500}[value]))
            got = now(shared_server, one)["confidence"]
            assert 0 <= got <= 1 and got == want / 10000


# ---- readiness ----

NEEDS = {"student": (10, 50, 70, 70), "intern": (25, 20, 85, 80), "supervised": (50, 0, 95, 95)}


def judged(maturity, episodes, runs, rejected, cancels, corrections, actions, refused):
    """What spec.md says of readiness, in exact fractions."""
    need, limit, compliance_need, score_need = NEEDS[maturity]
    interventions = rejected + cancels + corrections
    rate = Fraction(interventions, max(1, runs))
    compliance = Fraction(max(0, actions - refused - rejected), actions) if actions else Fraction(0)
    restraint = Fraction(int(interventions == 0)) if limit == 0 else max(Fraction(0), 1 - rate / Fraction(limit, 100))
    score = Fraction(40, 100) * min(Fraction(1), Fraction(episodes, need)) + Fraction(30, 100) * restraint + Fraction(30, 100) * compliance
    gaps = {"successful_episodes"} if episodes < need else set()
    gaps |= {"intervention_rate"} if rate > Fraction(limit, 100) else set()
    gaps |= {"compliance"} if compliance < Fraction(compliance_need, 100) else set()
    gaps |= {"score"} if score < Fraction(score_need, 100) else set()
    return {"gaps": gaps, "score": int(score * 10000) / 10000, "rate": -int(-rate * 10000 // 1) / 10000,
            "compliance": int(compliance * 10000) / 10000}


def near(*values):
    return st.one_of(st.sampled_from([max(0, v + d) for v in values for d in (-1, 0, 1)]), st.integers(0, 80))


counts = st.tuples(st.sampled_from(sorted(NEEDS)), near(10, 25, 50), near(0, 20, 50), near(0), near(0, 5), near(0, 10), near(0, 20, 100),
                   near(0, 1, 3))


class TestReadiness:
    @pytest.fixture(scope="class")
    def stopped(self, make_shared_server):
        server = make_shared_server()
        made = {maturity: [server.agent(f"{maturity} {n}", maturity)["id"] for n in range(20)] for maturity in NEEDS}
        keys = {}
        server.stop()
        for id, name in server.store().execute("SELECT id, name FROM agent"):
            keys[name] = id
        return server, made, keys

    @settings(max_examples=6)
    @given(cases=st.lists(counts, min_size=20, max_size=40))
    def test_the_formulas(self, stopped, cases):
        """Every number of the answer is the model's, for any evidence; numbers near the thresholds more often."""
        server, made, keys = stopped
        placed, used = [], dict.fromkeys(NEEDS, 0)
        store = server.store()
        store.execute("DELETE FROM agent_tally")
        for maturity, episodes, runs, rejected, cancels, corrections, actions, refused in cases:
            if used[maturity] == len(made[maturity]):
                continue
            name, used[maturity] = f"{maturity} {used[maturity]}", used[maturity] + 1
            placed.append((made[maturity][int(name.split()[1])], (maturity, episodes, runs, rejected, cancels, corrections, actions, refused)))
            store.execute("INSERT INTO agent_tally VALUES (?, 1, 0, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)",
                          (keys[name], runs, episodes, cancels, corrections, rejected, actions, refused))
        store.close()
        server.start()
        try:
            for id, case in placed:
                got, want = readiness(server, {"id": id}), judged(*case)
                assert {gap["criterion"] for gap in got["gaps"]} == want["gaps"], (case, got)
                assert got["ready"] == (not want["gaps"]) and got["score"] == want["score"], (case, got, want)
                assert got["evidence"]["intervention_rate"] == want["rate"] and got["evidence"]["compliance"] == want["compliance"], (case, got)
                needs = NEEDS[case[0]]
                assert got["needed"] == {"successful_episodes": needs[0], "intervention_rate": needs[1] / 100, "compliance": needs[2] / 100,
                                         "score": needs[3] / 100}
        finally:
            server.stop()

    def test_evidence_is_what_happened(self, shared_server):
        """Runs, a human's cancels, rejected approvals, corrections, actions and refusals, each once; reads are no actions."""
        one = hosted(shared_server, "supervised")
        owner, admin = shared_server, human(shared_server, role="admin")
        session = owner.chat("one", agent=one["id"]).ok(200)["session_id"]
        owner.chat("two", agent=one["id"], session_id=session).ok(200)
        path = f"/v1/agents/{one['id']}"
        owner.post(f"{path}/enforce", {"action": "search"}).ok(200)
        assert owner.post(f"{path}/enforce", {"action": "delete"}).status == 403
        asked = owner.post(f"{path}/enforce", {"action": "send_email"}).ok(202)["approval_id"]
        assert owner.post(f"{path}/enforce", {"action": "send_email"}).ok(202)["approval_id"] == asked
        admin.post(f"/v1/approvals/{asked}/reject").ok(200)
        used = owner.post(f"{path}/enforce", {"action": "send_email", "arguments": {"n": 1}}).ok(202)["approval_id"]
        admin.post(f"/v1/approvals/{used}/approve").ok(200)
        owner.post(f"{path}/enforce", {"action": "send_email", "arguments": {"n": 1}, "approval_id": used}).ok(200)
        owner.post(f"{path}/decide", {"action": "delete"}).ok(200)
        say(owner, one, correction="not so").ok(201)
        got = evidence(owner, one)
        assert {name: got[name] for name in ("successful_episodes", "runs", "approvals_rejected", "human_cancels", "corrections", "actions",
                                             "actions_refused")} == {
            "successful_episodes": 2, "runs": 2, "approvals_rejected": 1, "human_cancels": 0, "corrections": 1, "actions": 6, "actions_refused": 1}
        assert (got["intervention_rate"], got["compliance"], got["since"]) == (1, 0.6666, None)

    def test_what_the_agent_does_itself(self, shared_server):
        student, intern = agent(shared_server, "student"), agent(shared_server, "intern")
        assert student.try_post("may I?").status == 403 and student.feed() is not None
        intern.says("I may")
        assert intern.try_post("too soon").status == 429
        assert [evidence(shared_server, of)["actions"] for of in (student, intern)] == [1, 2]
        assert [evidence(shared_server, of)["actions_refused"] for of in (student, intern)] == [1, 0]
        shared_server.post(f"/v1/agents/{intern.id}/pause").ok(200)
        assert intern.try_post("while paused").status == 403
        assert evidence(shared_server, intern)["actions"] == 2, "a pause says nothing about the agent"

    def test_a_cancel_by_a_human_counts(self, server_with_provider, provider):
        server, one = server_with_provider, hosted(server_with_provider)
        provider.script({"deltas": ["a"] * 50, "hold_after": 1}, {"deltas": ["b"] * 50, "hold_after": 1}, {"deltas": ["c"]})
        stream = server.stream("hello", agent=one["id"])
        run = stream.until(lambda e: e.seq == 2)[0].data["execution_id"]  # the provider has been asked: the next one gets the next script
        server.post(f"/v1/executions/{run}/cancel").ok(202)
        server.ended(run, "cancelled")
        got = evidence(server, one)
        assert (got["runs"], got["human_cancels"], got["successful_episodes"], got["intervention_rate"]) == (1, 1, 0, 1)
        second = server.stream("again", agent=one["id"])
        first = second.until(lambda e: e.seq == 2)[0].data
        server.chat("instead", session_id=first["session_id"], on_busy="interrupt").ok(200)
        server.ended(first["execution_id"], "cancelled")
        assert evidence(server, one)["human_cancels"] == 1, "saying something else is no cancel"

    def test_it_begins_anew_with_each_level(self, shared_server):
        one = hosted(shared_server)
        shared_server.chat("hello", agent=one["id"]).ok(200)
        assert evidence(shared_server, one)["runs"] == 1
        override(shared_server, one)
        got = evidence(shared_server, one)
        assert (got["runs"], got["actions"], got["successful_episodes"]) == (0, 0, 0) and got["since"] == now(shared_server, one)["updated_at"]
        shared_server.chat("hello", agent=one["id"]).ok(200)
        shared_server.post(f"/v1/agents/{one['id']}/demote", {"reason": "t"}).ok(200)
        assert evidence(shared_server, one)["runs"] == 0
        shared_server.chat("hello", agent=one["id"]).ok(200)
        assert evidence(shared_server, one)["runs"] == 1

    def test_an_autonomous_agent_has_no_next_level(self, shared_server):
        top = hosted(shared_server, "autonomous")
        got = readiness(shared_server, top)
        assert (got["next_maturity"], got["needed"], got["ready"], got["score"], got["gaps"]) == (None, None, False, None, [])
        assert promote(shared_server, top, override=True, reason="higher").status == 409
        assert shared_server.get(f"/v1/agents/{NOBODY}/readiness").code == "agent_not_found"


class TestPromotion:
    def test_on_the_evidence(self, make_server):
        """One step, with the evidence in the audit log; not before every gap is closed."""
        server = make_server()
        one = hosted(server, "intern")
        session = None
        for n in range(24):
            session = server.chat("hello", agent=one["id"], session_id=session).ok(200)["session_id"]
        refused = promote(server, one)
        assert (refused.status, refused.code) == (409, "not_ready") and refused.body["audit_id"]
        assert refused.body["readiness"]["gaps"] == [{"criterion": "successful_episodes", "have": 24, "needed": 25}]
        assert "successful_episodes" in refused.body["detail"] and now(server, one)["maturity"] == "intern"
        server.chat("hello", agent=one["id"], session_id=session).ok(200)
        assert readiness(server, one)["ready"] is True
        risen = promote(server, one).ok(200)
        assert (risen["maturity"], risen["revision"]) == ("supervised", 2) and risen["confidence"] >= 0.8
        (entry,) = [e for e in entries(server, one, action="grant") if e["outcome"] == "changed"]
        assert entry["change"]["evidence"]["successful_episodes"] == 25 and entry["change"]["ready"] is True
        assert entry["change"]["override"] is False and entry["change"]["score_e4"] == 10000
        assert promote(server, one).code == "not_ready", "no second step on the same evidence"

    def test_over_it_with_a_reason(self, shared_server):
        one = hosted(shared_server, "student")
        for body in ({"override": True}, {"override": True, "reason": "  "}):
            assert promote(shared_server, one, **body).status == 422
        assert promote(shared_server, one, reason="a reason alone is none").code == "not_ready"
        assert promote(human(shared_server), one, override=True, reason="x").status == 403
        risen = override(shared_server, one)
        assert (risen["maturity"], risen["confidence"]) == ("intern", 0.6)
        (entry,) = [e for e in entries(shared_server, one, action="grant") if e["outcome"] == "changed"]
        assert entry["change"]["override"] is True and entry["change"]["reason"] == "for a test" and entry["principal"]
        for to, least in (("supervised", 0.8), ("autonomous", 0.95)):
            assert (lambda a: (a["maturity"], a["confidence"]))(override(shared_server, one)) == (to, least)

    def test_an_incident_demotes_at_once(self, shared_server):
        one = agent(shared_server, "intern")
        assert one.try_post("before").status == 201
        fallen = shared_server.post(f"/v1/agents/{one.id}/demote", {"reason": "it leaked", "incident": True}).ok(200)
        assert fallen["maturity"] == "student" and one.try_post("after").code == "governance_blocked"
        (entry,) = entries(shared_server, one, action="revoke")
        assert entry["change"]["incident"] is True and entry["change"]["reason"] == "it leaked" and "evidence" in entry["change"]
        assert shared_server.post(f"/v1/agents/{one.id}/demote", {"incident": True}).status == 422

    def test_two_at_once_are_one_step(self, shared_server):
        for _ in range(5):
            one = hosted(shared_server, "student")
            before = len(milestones(shared_server))
            gate = threading.Barrier(4)

            def attempt(_):
                gate.wait()
                return promote(shared_server, one, override=True, reason="at once").status
            with ThreadPoolExecutor(4) as pool:
                done = list(pool.map(attempt, range(4)))
            steps = done.count(200)
            assert set(done) <= {200, 409} and steps >= 1
            assert ["student", "intern", "supervised", "autonomous"].index(now(shared_server, one)["maturity"]) == steps
            assert len(milestones(shared_server)) == before + steps

    def test_a_milestone(self, shared_server):
        """AC-144: post and event, once each; the post is the system's, automatic, short."""
        one = shared_server.agent(f"{'Long' * 50}"[:200], "intern", handle=f"grown-{next(numbers)}")
        listener = human(shared_server)
        with hearing(listener, "global") as everywhere, hearing(listener, "alerts") as alerts:
            override(shared_server, one)
            post, event = told(everywhere, "agent_post", "graduation_milestone")
            assert told(alerts, "agent_post", "graduation_milestone") == [post, event]
        assert (event["agent_id"], event["from"], event["to"], event["post_id"]) == (one["id"], "intern", "supervised", post["id"])
        assert post in listener.feed() and listener.sees(post) == post
        assert post["auto_generated"] is True and post["author"]["kind"] == "system" and len(post["content"]) <= 280
        assert [m["id"] for m in post["mentions"]] == [one["id"]] and "from intern to supervised" in post["content"]
        assert evidence(shared_server, one)["actions"] == 0 and reputation(shared_server, one)["posts"] == 0

    def test_each_step_has_its_milestone(self, shared_server):
        """An alert is exempt from the five minutes; going down, or being refused, is none."""
        one = hosted(shared_server, "student", auto_reply=True)
        before = len(milestones(shared_server))
        for _ in range(3):
            override(shared_server, one)
        shared_server.post(f"/v1/agents/{one['id']}/demote", {"reason": "t"}).ok(200)
        assert promote(shared_server, one).status == 409
        made = milestones(shared_server)
        assert len(made) == before + 3 and [made[2 - n]["content"].split(" from ")[1] for n in range(3)] == [
            "student to intern.", "intern to supervised.", "supervised to autonomous."]
        assert made[0]["reply_count"] == 0

    def test_what_is_no_agent_raises(self, shared_server):
        """AC-144"""
        for id in (NOBODY, "nobody-of-that-name"):
            for verb in ("promote", "demote", "feedback"):
                reply = shared_server.post(f"/v1/agents/{id}/{verb}", {"reason": "x"} if verb != "feedback" else {"thumbs": "up"})
                assert (reply.status, reply.code) == (404, "agent_not_found")
        assert promote(shared_server.anonymous(), {"id": NOBODY}).status == 401

    def test_exactly_once_across_deaths(self, make_server):
        """AC-144: a server killed while agents rise has for each step one post and one event, and none for what did not happen."""
        server = make_server()
        made = [hosted(server, "student") for _ in range(12)]
        for death in range(3):
            done = threading.Event()

            def rise(one):
                while not done.is_set():
                    try:
                        override(server, one)
                    except (OSError, AssertionError, ValueError):
                        return
            threads = [threading.Thread(target=rise, args=(one,)) for one in made[death * 4:death * 4 + 4]]
            for thread in threads:
                thread.start()
            wait_for(lambda: any(now(server, one)["maturity"] != "student" for one in made[death * 4:death * 4 + 4]), "a first step")
            server.restart(kill=True)
            done.set()
            for thread in threads:
                thread.join()
        levels = ["student", "intern", "supervised", "autonomous"]
        steps = {one["id"]: levels.index(now(server, one)["maturity"]) for one in made}
        posts = milestones(server)
        by_agent = [post["mentions"][0]["id"] for post in posts]
        assert {id: by_agent.count(id) for id in steps} == steps and sum(steps.values()) == len(posts) > 0
        store = sqlite3.connect(f"file:{server.data / 'guild.db'}?mode=ro", uri=True)
        events = store.execute("SELECT event_data FROM log WHERE event_type = 'graduation_milestone'").fetchall()
        assert sorted(e[0].split('"post_id":"')[1][:36] for e in events) == sorted(post["id"] for post in posts)
        assert server.cli("audit", "verify").returncode == 0


class TestReputation:
    def test_what_counts(self, shared_server):
        """AC-142, AC-143: positive reactions by others to public posts of agents, accepted thumbs up, posts."""
        author, fan, other = agent(shared_server, "autonomous"), human(shared_server), agent(shared_server, "autonomous")
        assert reputation(fan, author)["score"] == 0
        post, reply = author.says("a post"), author.replies(fan.says("ask me"), "an answer")
        private = author.says("psst", visibility="directed", mentions=[fan.as_mention])
        for who, emoji in ((fan, "👍"), (fan, "🎉"), (other, "👍"), (other, "👎"), (fan, "👎🏽"), (fan, "😡"), (author, "👍")):
            assert who.reacts(post, emoji).status == 201
        fan.reacts(reply, "❤️"), fan.reacts(private, "👍"), fan.reacts(fan.says("mine"), "👍")
        assert fan.reacts(post, "👍").status == 200, "again"
        got = reputation(fan, author)
        assert (got["reactions"], got["helpful"], got["posts"], got["score"]) == (4, 0, 2, 10)
        say(fan, author, thumbs="up", post_id=post["id"]).ok(201)
        assert reputation(fan, author)["helpful"] == 0, "it waits for a review"
        (waits,) = shared_server.items(f"/v1/feedback?status=pending&agent={author.id}")
        shared_server.post(f"/v1/feedback/{waits['id']}/accept").ok(200)
        say(shared_server, author, thumbs="up", post_id=reply["id"]).ok(201)
        say(shared_server, author, thumbs="down", post_id=post["id"]).ok(201)
        say(shared_server, author, thumbs="up").ok(201)
        assert reputation(fan, author)["score"] == 2 * 4 + 5 * 2 + 2
        assert fan.unreacts(post, "🎉").status == 204 and fan.unreacts(post, "👎🏽").status == 204
        assert reputation(fan, author)["score"] == 2 * 3 + 5 * 2 + 2
        author.deletes(post)
        got = reputation(fan, author)
        assert (got["reactions"], got["helpful"], got["posts"], got["score"]) == (1, 1, 1, 2 + 5 + 1)
        assert reputation(fan, other)["score"] == 0

    def test_the_formula_ends_at_a_hundred(self, shared_server):
        """AC-143"""
        author = agent(shared_server, "autonomous")
        for n in range(19):
            say(shared_server, author, thumbs="up", post_id=author.says(f"post {n}")["id"]).ok(201)
        got = reputation(shared_server, author)
        assert (got["helpful"], got["posts"], got["score"]) == (19, 19, 100)

    def test_the_percentile_is_over_all_agents(self, make_server):
        """AC-143: by a model that counts them."""
        server = make_server(env=social.UNLIMITED)
        made = [agent(server, "autonomous") for _ in range(8)]
        for n, author in enumerate(made):
            for _ in range((0, 0, 1, 2, 2, 5, 9, 3)[n]):
                author.says("x")
        all_agents = [{"id": one["id"]} for one in server.items("/v1/agents?limit=100")]
        assert len(all_agents) == 9
        got = {one["id"]: reputation(server, one) for one in all_agents}
        scores = [r["score"] for r in got.values()]
        for r in got.values():
            below, same = sum(s < r["score"] for s in scores), scores.count(r["score"])
            assert r["agents"] == 9 and abs(r["percentile"] - 100 * (below + same / 2) / 9) <= 0.05001, (r, scores)

    def test_the_trend_of_thirty_days(self, make_server):
        """AC-143"""
        server = make_server(env=social.UNLIMITED)
        author = agent(server, "autonomous")
        author.says("today")
        server.stop()
        store = server.store()
        ((key, today, points),) = store.execute("SELECT agent, day_at, points FROM agent_day").fetchall()
        assert points == 1
        for before, won in ((1, 4), (29, 2), (30, 7), (59, 1), (60, 1000)):
            store.execute("INSERT INTO agent_day VALUES (?, ?, ?)", (key, today - before, won))
        store.close()
        server.start()
        trend = reputation(server, author)["trend"]
        assert (trend["days"], trend["points"], trend["previous_points"], trend["direction"]) == (30, 7, 8, "down")
        assert len(trend["daily"]) == 30 and (trend["daily"][0], trend["daily"][28], trend["daily"][29]) == (2, 4, 1)
        author.says("more"), author.says("and more")
        assert reputation(server, author)["trend"]["direction"] == "up"

    def test_no_internal_text(self, shared_server):
        """AC-143: what goes wrong says nothing of the inside."""
        for id in (NOBODY, "x'; DROP TABLE agent", "%00"):
            reply = shared_server.get(f"/v1/agents/{id.replace(' ', '%20')}/reputation")
            assert reply.status in (400, 404) and not any(word in reply.text.lower() for word in ("sqlite", "agent_tally", ".c:", "errno"))
        assert shared_server.anonymous().get("/v1/agents/chat-assistant/reputation").status == 401

    def test_sums_are_what_the_rows_say(self, make_server):
        """Many at once, some undone: the kept sums equal a count of the rows."""
        server = make_server(env=social.UNLIMITED)
        authors, fans = [agent(server, "autonomous") for _ in range(3)], [human(server) for _ in range(4)]
        posts = [author.says(f"post {n}") for author in authors for n in range(4)]

        def like(n):
            fan, post = fans[n % 4], posts[n % len(posts)]
            fan.reacts(post, "👍"), fan.reacts(post, "👎")
            if n % 3 == 0:
                fan.unreacts(post, "👍")
            if n % 5 == 0:
                say(server, post["author"], thumbs="up", post_id=post["id"])
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(like, range(60)))
        authors[0].deletes(posts[0])
        server.restart(kill=True)
        store = sqlite3.connect(f"file:{server.data / 'guild.db'}?mode=ro", uri=True)
        rows = store.execute("""SELECT t.reactions, t.helpful, t.posts, t.points,
            (SELECT count(*) FROM reaction r JOIN post p ON p.id = r.post WHERE p.author = t.agent AND r.emoji = '👍' AND p.deleted_at IS NULL),
            (SELECT count(*) FROM feedback f JOIN post p ON p.id = f.post WHERE p.author = t.agent AND p.deleted_at IS NULL),
            (SELECT count(*) FROM post p WHERE p.author = t.agent AND p.deleted_at IS NULL) FROM agent_tally t WHERE t.posts > 0""").fetchall()
        assert len(rows) == 3
        for reactions, helpful, count, points, *wanted in rows:
            assert [reactions, helpful, count] == wanted and points == 2 * reactions + 5 * helpful + count


class TestPython:
    def test_from_feedback_to_a_level(self):
        with guild.open(":memory:") as db:
            one = guild.create_agent(db, name="Py", maturity="intern", category="testing")
            before = db.readiness(one.id)
            assert before.ready is False and before.gaps
            given = db.feedback(one.id, thumbs="up")
            assert (given.status, given.confidence_delta) == ("accepted", 0.05)
            waits = db.feedback(one.id, rating=5, user="ann")
            assert db.feedbacks("accepted", one.handle) == [given] and db.feedbacks("pending") == [waits]
            assert db.review(waits.id, accept=True, note="so it is").note == "so it is"
            assert db.review(waits.id, accept=False).status == "accepted", "the first decision"
            with pytest.raises(guild.GuildError) as refused:
                db.promote(one.id)
            assert refused.value.code == "not_ready"
            assert db.promote(one.id, override=True, reason="a test").maturity == "supervised"
            assert db.demote(one.id, "something happened", incident=True).maturity == "intern"
            assert db.reputation(one.id).score == 0
