"""Texts that break what was not written with care: each comes back byte for byte through every door that keeps a text, or is refused with
the name of the field; and nothing else happens to anybody."""
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.social import UNLIMITED, agent, hearing, human, told

ZWJ, VS16, RLO, PDF, BOM = "\u200d", "\ufe0f", "\u202e", "\u202c", "\ufeff"
LONGEST = 10000

# name: text. All of it may be kept.
KEPT = {
    "one letter": "x",
    "one combining mark on a letter": "e\u0301",
    "not composed beside composed": "\u00e9 e\u0301 \u1e9b\u0323 \u212b A\u030a",
    "a thousand marks on a letter": "Z" + "\u0300\u0301\u0316\u0334" * 250,
    "marks in an order that is not canonical": "a\u0315\u0300\u05ae\u0300\u0062",
    "bidi controls": f"a {RLO}txt.exe{PDF} b \u2066isolated\u2069 \u200f \u200e \u061c",
    "bidi controls without an end": f"{RLO}\u202b\u202d\u2067\u2068 open",
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645, \u05e9\u05dc\u05d5\u05dd 123 abc",
    "family": f"\U0001f468{ZWJ}\U0001f469{ZWJ}\U0001f467{ZWJ}\U0001f466",
    "emoji of all kinds": f"\u2764{VS16}{ZWJ}\U0001f525 \U0001f3f3{VS16}{ZWJ}\U0001f308 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea 1{VS16}\u20e3 "
                          "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "emoji that are broken": f"{ZWJ}\U0001f468{ZWJ} \U0001f1e9 {VS16} \U0001f3fd",
    "zero width around": "\u200bin\u200cvisible\u2060 \u180e\u00ad",
    "byte order mark": f"{BOM}begins with one, and {BOM} has one",
    "white space of all kinds": " \t\n\r\x0b\x0c\x85\xa0\u1680\u2000\u2028\u2029\u202f\u205f\u3000 seen ",
    "control characters": "".join(chr(n) for n in range(1, 32)) + "\x7f" + "".join(chr(n) for n in range(128, 160)) + " seen",
    "only line ends around a word": "\r\n\n\r word \r\n",
    "script": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>",
    "entities": "&lt;&amp;amp;&#0;&#x202e;&nbsp;",
    "sql": "Robert'); DROP TABLE post;-- \" OR 1=1 /* */ ; ATTACH 'x' AS y",
    "sql that is awkward": "'' ''' \\' \\\" % _ ?1 :a @b $c",
    "format strings": "%s%s%s%n%n %x %08x %*.*f {0} {} ${x} $(id) `id` %%",
    "json inside": "{\"id\":\"x\",\"post_id\":\"y\"} \\u0000 \\ud800 \\\" \\\\",
    "what the server looks for in its own texts": "\"post_id\":\"\",\"id\":\"\",\"created_at\":\"1970-01-01T00:00:00.000000Z\"",
    "paths": "../../../../etc/passwd\\..\\..\\nul file:///etc/passwd",
    "shell": "; rm -rf / | $(reboot) && `halt` > /dev/sda",
    "numbers that are none": "NaN Infinity -0 1e309 0x1p-1074 9223372036854775808 undefined null true",
    "a word of 9,000 letters": "w" * 9000,
    "ten thousand characters": "\U0001f600" * LONGEST,
    "ten thousand of three bytes": "\u0fff" * LONGEST,
    "ends of the planes": "\U0010ffff \ufffe \uffff \U0001fffe \ufdd0 \ue000 \U000f0000 \ud7ff",
    "not assigned": "\u0378 \U000e0080 \U0003ffff",
    "longest ligature and friends": "\ufdfd \ufdfa \u1e9e \u0130\u0131 \ufb03 \u01c5",
    "thai, tibetan, hangul in parts": "\u0e01\u0e33\u0e49 \u0f42\u0fb7 \u1112\u1161\u11ab",
    "tags and handles that are none": "# @ #! @! ## @@ #\u0301 #\u200d #1 @-\u0301 C#",
    "a tag of 65 and one of 64": "#" + "t" * 65 + " #" + "t" * 64,
    "a hundred tags and handles": " ".join(f"#t{n} @h{n}" for n in range(100)),
    "a redaction that nobody made": "[REDACTED_EMAIL] [REDACTED_] [[REDACTED_EMAIL]]",
    "http inside": "GET / HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n",
    "an event inside": "data: x\n\nevent: gap\nid: 7\n\n: \n",
}
# name: text. None of it may be kept.
REFUSED = {
    "nothing": "",
    "one too many": "x" * (LONGEST + 1),
    "one too many, of four bytes": "\U0001f600" * (LONGEST + 1),
    "NUL": "before\0after",
    "NUL alone": "\0",
    "spaces": "   ",
    "white space of all kinds": "\t\n\r\x0b\x0c\u2003\u3000",
}
# name: the JSON text of a string that is none.
BROKEN = {
    "high surrogate": '"\\ud800"', "low surrogate": '"\\udc00 and more"', "the wrong way round": '"\\udc00\\ud800"',
    "high and a letter": '"\\ud83dx"', "an escape that is none": '"\\x41"', "half an escape": '"\\u12"', "a bare line end": '"a\nb"',
    "a bare tab": '"a\tb"', "no end": '"abc',
}
BROKEN_BYTES = {
    "not UTF-8": b'"\xff\xfe"', "too long a form": b'"\xc0\xaf"', "a surrogate in UTF-8": b'"\xed\xa0\x80"', "beyond the last": b'"\xf4\x90\x80\x80"',
    "cut": b'"\xf0\x9f\x98"', "only a continuation": b'"\x80"',
}


class Scene:
    """A town and the doors by which a text comes in and out again."""

    def __init__(self, server):
        self.server = server
        self.one, self.other = human(server, "Naughty"), agent(server, "Naughty agent")
        self.parent = self.one.says("under this one")
        self.count = 0
        server.agent("Listens to chat", "autonomous")

    def post(self, text):
        """(first reply, the text as others get it)"""
        reply = self.one.try_post(text)
        return reply, lambda: self.other.sees(reply.body["id"])["content"]

    def reply(self, text):
        reply = self.other.try_reply(self.parent, text)
        return reply, lambda: self.one.sees(reply.body["id"])["content"]

    def message(self, text):
        reply = self.one.try_tell(self.other, text)
        return reply, lambda: self.other.get("/v1/direct-messages?limit=1").ok(200)["items"][0]["content"]

    def channel(self, text):
        self.count += 1
        reply = self.one.post("/v1/channels", {"name": f"naughty-{self.count}", "description": text})
        return reply, lambda: self.other.get(f"/v1/channels/{reply.body['id']}").ok(200)["description"]

    def chat(self, text):
        reply = self.one.chat(text, agent="listens-to-chat")
        return reply, lambda: self.one.messages(reply.body["session_id"])[0]["content"]


FIELDS = {"post": "/content", "reply": "/content", "message": "/content", "channel": "/description", "chat": "/message"}
# What a text may be differs by the field: descriptions are shorter and may be empty, chat is longer.
CHARS = {"post": LONGEST, "reply": LONGEST, "message": LONGEST, "channel": 1000, "chat": None}


@pytest.fixture(scope="module")
def scene(make_shared_server):
    return Scene(make_shared_server(env=UNLIMITED))


def refusal(reply, field, text):
    if "\0" in text:  # no JSON of ours has it, whatever the field
        assert (reply.status, reply.code) == (400, "malformed") and "U+0000" in reply.body["detail"]
        return
    assert reply.status == 422, f"{reply.status}: {reply.text[:300]}"
    assert field in [error["pointer"] for error in reply.body["errors"]], reply.text[:300]


@pytest.mark.parametrize("door", FIELDS)
@pytest.mark.parametrize("name", KEPT)
def test_it_comes_back_as_it_was(scene, door, name):
    """AC-173, AC-148"""
    text = KEPT[name]
    reply, back = getattr(scene, door)(text)
    if CHARS[door] is not None and len(text) > CHARS[door]:
        refusal(reply, FIELDS[door], text)
        return
    assert reply.status in (200, 201), f"{reply.status}: {reply.text[:300]}"
    assert back().encode() == text.encode()


@pytest.mark.parametrize("door", FIELDS)
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(scene, door, name):
    """AC-173"""
    text = REFUSED[name]
    reply, back = getattr(scene, door)(text)
    if door == "channel" and "\0" not in text and len(text) <= CHARS["channel"]:
        assert reply.status == 201 and back() == "", "nothing to be seen is no description"
    elif door == "chat" and len(text) > LONGEST:
        assert reply.status == 200 and back() == text, "a chat message may be longer"
    elif door == "chat" and text.strip() == "" and text != "":
        assert reply.status == 422 or back() == text
    else:
        refusal(reply, FIELDS[door], text)


RAW = {"post": ("/v1/posts", "content"), "reply": ("/v1/posts/%s/replies", "content"), "message": ("/v1/direct-messages", "content"),
       "channel": ("/v1/channels", "description"), "chat": ("/v1/chat", "message")}


@pytest.mark.parametrize("door", RAW)
def test_what_is_no_text_is_refused(scene, door):
    """AC-173: JSON that is none, before any field is looked at."""
    path, field = RAW[door]
    path = path % scene.parent["id"] if "%" in path else path
    newest = scene.one.get("/v1/feed?limit=1").ok(200)["items"][0]["id"]
    for name, value in [*((n, v.encode()) for n, v in BROKEN.items()), *BROKEN_BYTES.items()]:
        reply = scene.one.request("POST", path, b'{"%s":%s}' % (field.encode(), value))
        assert reply.status in (400, 422), f"{name}: {reply.status}"
        assert reply.code in ("malformed", "invalid", "invalid_request"), f"{name}: {reply.text}"
    assert scene.one.get("/v1/feed?limit=1").ok(200)["items"][0]["id"] == newest


@pytest.mark.parametrize("name", KEPT)
def test_events_carry_it_too(scene, name):
    """AC-85, AC-148"""
    with hearing(scene.other, "global") as socket:
        post = scene.one.says(KEPT[name])
        assert [data["content"].encode() for data in told(socket, "agent_post")] == [KEPT[name].encode()]
    assert post["content"] == KEPT[name]


def test_names_that_are_asked_for(scene):
    """AC-126: the same texts where something is looked for: refused or nothing found, never an error of the server's."""
    from urllib.parse import quote
    for name, text in {**KEPT, **REFUSED}.items():
        value = quote(text[:200], safe="")
        for path in (f"/v1/feed?hashtag={value}", f"/v1/feed?author={value}", f"/v1/feed?channel={value}", f"/v1/feed?cursor={value}",
                     f"/v1/posts/{value}", f"/v1/channels/{value}", f"/v1/posts/{scene.parent['id']}/reactions", f"/v1/direct-messages?with={value}"):
            assert scene.one.get(path).status in (200, 400, 404, 422), f"{name}: {path[:60]}"
        status = scene.one.reacts(scene.parent, text[:200]).status
        assert status in (200, 201, 400, 404, 405, 422), f"{name}: {status}"
    assert scene.one.get("/healthz").ok(200)["status"] == "ok"


texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=0, max_size=200)


@given(text=texts)
@example(text="\ufeff")
@example(text="\u200b")
@settings(max_examples=60)
def test_invariant_any_text_comes_back_or_is_refused(scene, text):
    """AC-146, AC-148"""
    for door in ("post", "message"):
        reply, back = getattr(scene, door)(text)
        if reply.status in (400, 422):
            refusal(reply, FIELDS[door], text)
            assert text == "" or "\0" in text or not any(c.isprintable() and not c.isspace() for c in text), json.dumps(text)
        else:
            assert reply.status == 201
            kept = back()
            assert kept == text or reply.body.get("redacted") or "[REDACTED_" in kept
