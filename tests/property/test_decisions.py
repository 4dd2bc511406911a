"""Decisions: for any agent, action and wish, what the server answers is what the rules say."""
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

MATURITIES = ["student", "intern", "supervised", "autonomous"]
# An exact entry of each level, and which level-1 words count in front only.
EXACT = {1: ["search", "read", "get_account", "memory_search", "shell_network", "trending"],
         2: ["chat", "stream_chat", "draft_email", "post", "react", "suggest_task"],
         3: ["create", "send_email", "update_ticket", "shell_write", "merge", "configure"],
         4: ["delete", "deploy", "terminal_command", "bulk_delete", "sudo", "erase"]}
# Words that stand in no entry of the table, neither alone nor in a run.
NEUTRAL = ["spreadsheet", "zebra", "quux", "lorem", "tangerine", "wobble"]
DECISION = {"allowed": bool, "requires_human_approval": bool, "proceed": bool, "reason": str, "agent_maturity": str,
            "action_complexity": int, "required_maturity": str, "confidence": (int, float), "rule_id": str, "status_code": str}

levels = st.integers(1, 4)
maturities = st.sampled_from(MATURITIES)
exact = levels.flatmap(lambda level: st.tuples(st.just(level), st.sampled_from(EXACT[level])))
neutral = st.lists(st.sampled_from(NEUTRAL), min_size=1, max_size=4)
# U+0000 is refused in any string.
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=32)
borders = st.sampled_from(["_", ".", "-", ":", "/", " ", "__", "_-"])


@pytest.fixture(scope="module")
def decide(shared_server):
    agents = {m: shared_server.agent(f"prop {m}", m)["id"] for m in MATURITIES}

    def ask(maturity, action, **members):
        return shared_server.post(f"/v1/agents/{agents[maturity]}/decide", {"action": action, **members}).ok(200)
    return ask


@pytest.fixture(scope="module")
def policy(shared_server):
    return {row["action"]: row["level"] for row in shared_server.items("/v1/policy?limit=100")}


def spelled(word, camel, upper, border):
    """A name in another spelling: same words."""
    parts = word.split("_")
    text = parts[0] + "".join(p.capitalize() for p in parts[1:]) if camel else border.join(parts)
    return text.upper() if upper and not camel else text


class TestPermissionInvariant:
    @given(maturity=maturities, action=exact)
    def test_invariant_rank_decides_alone(self, decide, maturity, action):
        """AC-157"""
        level, name = action
        decision = decide(maturity, name)
        assert decision["action_complexity"] == level
        assert decision["allowed"] is (MATURITIES.index(maturity) + 1 >= level)
        assert decision["required_maturity"] == MATURITIES[level - 1] and decision["agent_maturity"] == maturity

    @given(maturity=maturities, action=st.one_of(exact.map(lambda a: a[1]), neutral.map("_".join)), wish=st.booleans())
    def test_invariant_approval_is_asked_for_or_due(self, decide, maturity, action, wish):
        """AC-158, AC-159"""
        decision = decide(maturity, action, require_approval=wish)
        if wish:
            assert decision["requires_human_approval"] is True and decision["proceed"] is False
        if maturity == "supervised" and decision["action_complexity"] >= 3:
            assert decision["requires_human_approval"] is True, "AC-159"
        elif not wish:
            assert decision["requires_human_approval"] is False
        assert decision["proceed"] is (decision["allowed"] and not decision["requires_human_approval"])

    @given(action=exact, camel=st.booleans(), upper=st.booleans(), border=borders)
    def test_invariant_spelling_does_not_matter(self, decide, action, camel, upper, border):
        """AC-160"""
        level, name = action
        assert decide("autonomous", spelled(name, camel, upper, border))["action_complexity"] == level

    @given(words=neutral, border=borders)
    def test_invariant_unknown_is_two(self, decide, words, border):
        """AC-160: what no entry matches."""
        assert decide("autonomous", border.join(words))["action_complexity"] == 2

    @given(front=neutral, back=neutral, first=exact, second=exact)
    def test_invariant_the_highest_run_wins(self, decide, policy, front, back, first, second):
        """AC-160: whole words only; level 1 counts in front only."""
        (_, one), (_, two) = first, second
        action = "_".join([*front, one, *back, two, "tail"])
        assume(action not in policy and len(action) <= 128)
        words = action.split("_")
        runs = [level for entry, level in policy.items() for at in range(len(words))
                if words[at:at + entry.count("_") + 1] == entry.split("_") and (level > 1 or at == 0)]
        assert decide("autonomous", action)["action_complexity"] == max(runs, default=2)

    @given(data=st.data())
    def test_invariant_every_entry_means_itself(self, decide, policy, data):
        """AC-160: an exact entry beats runs of words."""
        entry = data.draw(st.sampled_from(sorted(policy)))
        assert decide("student", entry)["action_complexity"] == policy[entry]

    @given(maturity=maturities, action=texts)
    def test_invariant_a_decision_is_whole(self, decide, maturity, action):
        """AC-163"""
        decision = decide(maturity, action)
        for name, kind in DECISION.items():
            assert isinstance(decision[name], kind), name
        assert 0 <= decision["confidence"] <= 1
        assert f'"prop {maturity}"' in decision["reason"] and maturity in decision["reason"]
        assert decision["required_maturity"] in decision["reason"]
        assert ("blocked" in decision["reason"]) is not decision["allowed"]
        assert re.match(r"[a-z_]+:.+:[1-4]$", decision["rule_id"], re.S)

    @given(action=st.one_of(st.text(min_size=1, max_size=200), exact.map(lambda a: a[1])), wish=st.booleans(),
           extra=st.dictionaries(st.text(max_size=8), st.none(), max_size=2))
    def test_invariant_asking_is_never_an_internal_error(self, shared_server, action, wish, extra):
        reply = shared_server.post("/v1/agents/chat-assistant/decide", {"action": action, "require_approval": wish, **extra})
        assert reply.status in (200, 400, 422), reply.text
        if not extra and "\0" not in action and len(action.encode()) <= 128:
            assert reply.status == 200
