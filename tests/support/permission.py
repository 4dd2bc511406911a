"""What an agent may do: a model of the decision, and a server that is moved along with it."""
from hypothesis import strategies as st

MATURITIES = ["student", "intern", "supervised", "autonomous"]
# An exact entry of each level of the table that comes with the program.
ACTIONS = {"search": 1, "get_account": 1, "chat": 2, "draft_email": 2, "send_email": 3, "update_ticket": 3, "delete": 4, "deploy": 4}
CODES = {"maturity": "governance_blocked", "lifecycle": "agent_not_active", "not_found": "agent_not_found",
         "recursion_limit": "recursion_limit", "budget_exceeded": "budget_exceeded"}

agents_ = st.sampled_from(MATURITIES)
actions_ = st.sampled_from(sorted(ACTIONS))
changes_ = st.one_of(
    st.tuples(st.just("lifecycle"), agents_, st.sampled_from(["active", "paused", "stopped"])), st.tuples(st.just("step"), agents_, st.booleans()),
    st.tuples(st.just("budget"), agents_, st.booleans()), st.tuples(st.just("level"), actions_, st.integers(1, 4)),
    st.tuples(st.sampled_from(["emergency", "kill"]), st.booleans()))


class Rules:
    """State that decisions depend on, and what follows from it."""

    def __init__(self):
        self.maturity = {m: m for m in MATURITIES}
        self.lifecycle = dict.fromkeys(MATURITIES, "active")
        self.spent = dict.fromkeys(MATURITIES, False)  # its hard budget has nothing left
        self.levels = dict(ACTIONS)
        self.emergency = self.stopped = False

    def decide(self, agent, action, wish=False, off=False):
        """status, allowed, needs approval, proceed"""
        level = self.levels[action]
        if agent not in self.maturity:
            return "not_found", False, wish, False
        maturity = self.maturity[agent]
        rank = MATURITIES.index(maturity) + 1
        due = maturity == "supervised" and level >= 3
        needs = wish or (due and not off)
        if self.lifecycle[agent] != "active" or self.stopped:
            status = "lifecycle"
        elif rank < level and not (self.emergency or off):
            status = "maturity"
        elif self.spent[agent]:
            status = "budget_exceeded"
        else:
            status = "approval_required" if needs else "ok"
        return status, status in ("ok", "approval_required"), needs, status == "ok"


class Governed:
    """A server with one agent of each maturity, and the rules as they are on it."""

    def __init__(self, server):
        self.server, self.rules = server, Rules()
        self.ids = {m: server.agent(f"Ruled {m}", m)["id"] for m in MATURITIES}

    def decide(self, agent, action, wish):
        return self.server.post(f"/v1/agents/{self.ids[agent]}/decide", {"action": action, "require_approval": wish}).ok(200)

    def reset(self):
        """As it was at first, by as few changes as that takes."""
        first = Rules()
        for agent in MATURITIES:
            self.lifecycle(agent, "active")
            self.budget(agent, False)
            while self.rules.maturity[agent] != agent:
                up = MATURITIES.index(self.rules.maturity[agent]) < MATURITIES.index(agent)
                self.step(agent, up)
        for action, level in first.levels.items():
            self.level(action, level)
        self.emergency(False)
        self.kill(False)

    def lifecycle(self, agent, to):
        if "stopped" == self.rules.lifecycle[agent] and to == "paused":
            self.lifecycle(agent, "active")  # there is no other way
        if self.rules.lifecycle[agent] != to:
            verb = {"active": "resume", "paused": "pause", "stopped": "stop"}[to]
            self.server.post(f"/v1/agents/{self.ids[agent]}/{verb}").ok(200)
            self.rules.lifecycle[agent] = to

    def step(self, agent, up):
        rank = MATURITIES.index(self.rules.maturity[agent]) + (1 if up else -1)
        if 0 <= rank < len(MATURITIES):
            self.server.post(f"/v1/agents/{self.ids[agent]}/{'promote' if up else 'demote'}",
                             {"reason": "a test", **({"override": True} if up else {})}).ok(200)
            self.rules.maturity[agent] = MATURITIES[rank]

    def budget(self, agent, spent):
        if self.rules.spent[agent] != spent:
            limit = 0 if spent else None
            self.server.put(f"/v1/budgets/agent:{self.ids[agent]}", {"limit_micro": limit, "mode": "hard"}).ok(200)
            self.rules.spent[agent] = spent

    def level(self, action, level):
        if self.rules.levels[action] != level:
            self.server.put(f"/v1/policy/{action}", {"level": level, "reason": "a test"}).ok(200)
            self.rules.levels[action] = level

    def emergency(self, on):
        if self.rules.emergency != on:
            self.server.post("/v1/emergency", {"minutes": 60 if on else 0, "reason": "a test"}).ok(200)
            self.rules.emergency = on

    def kill(self, on):
        if self.rules.stopped != on:
            self.server.post("/v1/kill-switch", {"on": on, "reason": "a test"}).ok(200)
            self.rules.stopped = on
