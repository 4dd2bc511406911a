"""The audit log's proofs checked with hashlib alone: chain, tree (RFC 6962), checkpoints (Ed25519, RFC 8032). Written from
docs/operating.md, not from the server's source."""
import hashlib
import json


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def be64(value):
    return (value & (2 ** 64 - 1)).to_bytes(8, "big")


def leaf(chain_hash):
    return sha(b"\0", chain_hash)


def join(left, right):
    return sha(b"\1", left, right)


def root(leaves):
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return join(root(leaves[:half]), root(leaves[half:]))


def link(previous, seq, time_us, workspace, entry_hash):
    return sha(previous, be64(seq), be64(time_us), be64(workspace), entry_hash)


# ---- proofs: RFC 9162, 2.1.3.2 and 2.1.4.2 ----

def includes(chain_hash, index, size, proof, wanted):
    at, last, node = index, size - 1, leaf(chain_hash)
    if index >= size:
        return False
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = join(other, node)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            node = join(node, other)
        at, last = at >> 1, last >> 1
    return last == 0 and node == wanted


def consistent(first, second, proof, first_root, second_root):
    if first == second:
        return not proof and first_root == second_root
    proof = list(proof)
    if first & (first - 1) == 0:
        proof.insert(0, first_root)
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = proof[0]
    for other in proof[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = join(other, old), join(other, new)
            while not at & 1 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            new = join(new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


# ---- Ed25519 ----

P = 2 ** 255 - 19
Q = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def _add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return (f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P


def _times(n, point):
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = _add(total, point)
        point, n = _add(point, point), n >> 1
    return total


def _same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _point(text):
    y = int.from_bytes(text, "little")
    sign, y = y >> 255, y & (2 ** 255 - 1)
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, message, signature):
    key, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return _same(_times(s, BASE), _add(r, _times(h, key)))


def genuine(checkpoint, public):
    message = (b"guild audit checkpoint 1\0" + be64(checkpoint["epoch"]) + be64(checkpoint["size"]) + be64(checkpoint["time_us"])
               + bytes.fromhex(checkpoint["head"]) + bytes.fromhex(checkpoint["root"]))
    return signed(public, message, bytes.fromhex(checkpoint["signature"]))


def check_export(text, public):
    """Reads an export as its format is documented: (rows, checkpoints); an assertion fails where anything does not fit."""
    lines = [json.loads(line) for line in text.splitlines()]
    first, last, rows, checkpoints, leaves, head = lines[0], lines[-1], [], [], [], bytes(32)
    assert first["guild_audit"] == 1 and first["public_key"] == public.hex()
    for line in lines[1:-1]:
        if "checkpoint" in line:
            checkpoint = line["checkpoint"]
            assert genuine(checkpoint, public) and checkpoint["epoch"] == first["epoch"] and checkpoint["size"] == len(leaves)
            assert checkpoint["root"] == root(leaves).hex() and checkpoint["head"] == head.hex()
            checkpoints.append(checkpoint)
            continue
        entry_hash = bytes.fromhex(line["entry_hash"])
        if line["entry"] is not None:
            assert sha(line["entry"].encode()) == entry_hash
        assert line["seq"] == len(rows) + 1
        head = link(head, line["seq"], line["time_us"], int(line["workspace"]), entry_hash)
        assert head.hex() == line["hash"]
        leaves.append(leaf(head))
        rows.append(line)
    assert last == {"end": {"seq": len(rows), "hash": head.hex()}}
    return rows, checkpoints
