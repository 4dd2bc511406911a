"""WebSocket frames over a bare socket: however messages are fragmented and bytes cut, the answers are the same."""
import base64
import json
import os
import socket
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0


def frame(opcode, payload, fin=True, mask=b"\x01\x02\x03\x04"):
    """A client's frame (RFC 6455, 5.2); mask None leaves the mask out."""
    size = len(payload)
    bit = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack(">H", size) if size < 65536 else \
        bytes([bit | 127]) + struct.pack(">Q", size)
    if mask is None:
        return head + payload
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def fragmented(payload, cuts, mask, pings):
    """One message in several frames, with pings between them."""
    points = [0, *sorted(min(c, len(payload)) for c in cuts), len(payload)]
    pieces = [payload[a:b] for a, b in zip(points, points[1:])]
    out = b""
    for i, piece in enumerate(pieces):
        out += frame(TEXT if i == 0 else MORE, piece, i == len(pieces) - 1, mask)
        if pings and i < len(pieces) - 1:
            out += frame(PING, b"between %d" % i, True, mask)
    return out


def handshake(server):
    key = base64.b64encode(os.urandom(16)).decode()
    return (f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {server.token}\r\n\r\n").encode()


def take_frames(data):
    frames, at = [], 0
    while at + 2 <= len(data):
        opcode, size, start = data[at] & 15, data[at + 1] & 127, at + 2
        if size == 126:
            size, start = struct.unpack(">H", data[at + 2:at + 4])[0], at + 4
        elif size == 127:
            size, start = struct.unpack(">Q", data[at + 2:at + 10])[0], at + 10
        frames.append((opcode, data[start:start + size]))
        at = start + size
    return frames


def talk(server, wire, cuts):
    """What the server says to these bytes behind a handshake, up to its close: (messages, pongs, close code)."""
    data = handshake(server)
    points = [0, *sorted(cuts), len(data) + len(wire)]
    data += wire
    with server.raw() as connection:
        for a, b in zip(points, points[1:]):
            if b > a:
                try:
                    connection.send(data[a:b])
                except OSError:
                    break
        assert connection.closed(10), "no close came"
        head, rest = connection.got.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 101"), head
    frames = take_frames(rest)
    messages = [json.loads(p) for o, p in frames if o == TEXT]
    codes = [struct.unpack(">H", p[:2])[0] if len(p) >= 2 else 1005 for o, p in frames if o == CLOSE]
    assert len(codes) <= 1 and (not codes or frames[-1][0] == CLOSE)
    return messages, [p for o, p in frames if o == PONG], codes


MESSAGES = [
    {"type": "ping"}, {"type": "ping", "ref": 1}, {"type": "ping", "ref": "日本語 🦉"}, {"type": "nonsense", "ref": "a"}, {"type": "ping", "x": 1},
    {"type": "subscribe", "topics": ["plain.topic"], "ref": "s"}, {"type": "subscribe", "topics": [], "ref": "t"},
    {"type": "cancel", "execution_id": "none", "ref": "c"}, {"type": "ping", "ref": "y" * 300}, {"type": "ping", "ref": "z" * 70000}, [], "text", 7,
        None,
]
masks = st.binary(min_size=4, max_size=4)
BYE = frame(CLOSE, struct.pack(">H", 1000) + b"bye")


class TestSplitInvariant:
    @settings(suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_invariant_fragments_and_packets_do_not_matter(self, shared_server, data):
        """T24"""
        chosen = data.draw(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=5))
        texts = [json.dumps(m, ensure_ascii=False).encode() for m in chosen]
        plain = b"".join(frame(TEXT, t) for t in texts) + BYE
        whole = talk(shared_server, plain, [])
        pings = data.draw(st.booleans())
        wire = b""
        for t in texts:
            wire += fragmented(t, data.draw(st.lists(st.integers(0, len(t)), max_size=5)), data.draw(masks), pings)
        wire += BYE
        cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
        messages, pongs, codes = talk(shared_server, wire, cuts)
        assert sorted(map(json.dumps, messages)) == sorted(map(json.dumps, whole[0])) and codes == whole[2] == [1000]
        assert len(whole[0]) == len(chosen)
        if not pings:
            assert pongs == []

    def test_invariant_every_single_cut(self, shared_server):
        """Cut in two at each byte, from the handshake's end on: nothing glued to the handshake is lost."""
        wire = fragmented(json.dumps({"type": "ping", "ref": "é🦉"}, ensure_ascii=False).encode(), [5, 20, 23], b"abcd", True) + BYE
        start = len(handshake(shared_server))
        whole = talk(shared_server, wire, [])
        assert [m["type"] for m in whole[0]] == ["pong"] and whole[1] == [b"between 0", b"between 1", b"between 2"]
        for cut in range(start - 2, start + len(wire)):
            assert talk(shared_server, wire, [cut]) == whole, cut

    BAD = {
        "no mask": (frame(TEXT, b'{"type":"ping"}', mask=None), 1002),
        "reserved bit": (b"\xc1" + frame(TEXT, b"{}")[1:], 1002),
        "reserved opcode": (frame(3, b"x"), 1002),
        "reserved control": (frame(11, b"x"), 1002),
        "fragmented ping": (frame(PING, b"x", fin=False), 1002),
        "long ping": (frame(PING, b"x" * 126), 1002),
        "more of nothing": (frame(MORE, b"x"), 1002),
        "a message in a message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
        "close of one byte": (frame(CLOSE, b"\x03"), 1002),
        "close with a reserved code": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
        "close with bad UTF-8": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
        "bad UTF-8": (frame(TEXT, b'"\xff"'), 1007),
        "bad UTF-8 in the second frame": (frame(TEXT, b'"\xc3', fin=False) + frame(MORE, b'\x28"'), 1007),
        "UTF-8 that never ends": (frame(TEXT, b"\xe6\x97"), 1007),
        "binary": (frame(BINARY, b"\x00"), 1003),
        "too long": (frame(TEXT, b"x" * ((1 << 20) + 1)), 1009),
        "too long by its length": (b"\x81\xff" + struct.pack(">Q", 1 << 40) + b"abcd", 1009),
        "length with the top bit": (b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"abcd", 1002),
    }

    def test_invariant_each_fault_has_its_code(self, shared_server):
        """T24: whatever comes behind it is not read."""
        for name, (wire, code) in self.BAD.items():
            ping = frame(TEXT, b'{"type":"ping","ref":"before"}')
            messages, _, codes = talk(shared_server, ping + wire + frame(TEXT, b'{"type":"ping","ref":"behind"}'), [])
            assert codes in ([code], []) and [m["ref"] for m in messages] == ["before"], name
            if len(wire) < 100000:
                assert codes == [code], name

    @settings(suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from(sorted(set(BAD) - {"too long"})), data=st.data())
    def test_invariant_faults_do_not_depend_on_packets(self, shared_server, name, data):
        wire, code = self.BAD[name]
        cuts = data.draw(st.lists(st.integers(0, len(wire) + 300), max_size=6))
        assert talk(shared_server, wire, cuts)[2] == [code]

    @settings(max_examples=50)
    @given(garbage=st.binary(min_size=2, max_size=400))
    def test_invariant_garbage_hurts_nobody(self, shared_server, garbage):
        """Garbage may announce a frame that never comes: then the end of our side is what ends the connection."""
        with shared_server.raw() as connection:
            try:
                connection.send(handshake(shared_server) + garbage + frame(3, b""))
                connection.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert connection.closed(10)
        assert shared_server.get("/healthz").status == 200
