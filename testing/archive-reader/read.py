#!/usr/bin/env python3
"""Verifies a whole archive, every state hashed, from one block root: `read.py FOLDER ROOT`.

Written from crates/archive/FORMAT.md alone, to see that the page is enough. Wants Python 3.9 and the module zstandard. FOLDER is the
archive's prefix or the network's folder in it; ROOT is a canonical block root that you trust, with a frontier in the archive.
"""
import functools
import hashlib
import pathlib
import re
import struct
import sys

import zstandard

ZERO = bytes(32)
SLOTS = 1024
LIMITS = [1065040, 32768, 181248, 40960, 4194304, 16777216, 4194304, 12288]

class Refused(Exception):
    pass

def need(condition, what):
    if not condition:
        raise Refused(what)

def sha(data):
    return hashlib.sha256(data).digest()

@functools.lru_cache(None)
def zero(depth):
    return ZERO if depth == 0 else sha(zero(depth - 1) * 2)

def tree(nodes, depth, level=0):
    """Root at `depth` of nodes that lie at `level`; zeros on their right."""
    while level < depth:
        if len(nodes) % 2:
            nodes = nodes + [zero(level)]
        nodes = [sha(nodes[i] + nodes[i + 1]) for i in range(0, len(nodes), 2)]
        level += 1
    return nodes[0] if nodes else zero(depth)

def number(n):
    return n.to_bytes(8, "little") + bytes(24)

def mixed(root, length):
    return sha(root + number(length))

def chunks(data):
    data += bytes(-len(data) % 32)
    return [data[i:i + 32] for i in range(0, len(data), 32)]

def bitlist(bits, count, limit):
    """`bits` is an integer whose bit i is bit i of the list."""
    return mixed(tree(chunks(bits.to_bytes((count + 7) // 8, "little")), (limit // 256).bit_length() - 1), count)

def checkpoint_root(checkpoint):
    return sha(checkpoint[0] + number(checkpoint[1]))

def header_root(slot, proposer, parent, state, body):
    return tree([number(slot), number(proposer), parent, state, body], 3)

def registry_root(data):
    need(len(data) % 112 == 0, "registry: not whole entries")
    roots = []
    for i in range(0, len(data), 112):
        keys = [tree(chunks(data[j:j + 52]), 1) for j in (i, i + 52)]
        roots.append(tree(keys + [data[i + 104:i + 112] + bytes(24)], 2))
    return mixed(tree(roots, 12), len(roots))

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(0 <= count <= len(self.data) - self.at, "data ends too early")
        self.at += count
        return self.data[self.at - count:self.at]

    def unpack(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def checkpoint(self):
        return self.unpack("32sQ")

    def roots(self, count):
        return chunks(self.take(32 * count))

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                need(value < 1 << 64 and (byte or not shift), "varint not in its shortest form")
                return value
            shift += 7

    def gaps(self, count, limit):
        """A gap list as a list of positions."""
        need(count <= len(self.data) - self.at, "a list longer than its bytes")
        positions, position = [], 0
        for _ in range(count):
            position += self.varint()
            need(position < limit, "position past the end")
            positions.append(position)
            position += 1
        return positions

    def marks(self, limit, counted=None):
        """A gap list as an integer with these bits; `counted` says how many, if another reader does."""
        return sum(1 << position for position in self.gaps((counted or self).varint(), limit))

    def bitmap(self, bits):
        value = int.from_bytes(self.take((bits + 7) // 8), "little")
        need(value >> bits == 0, "bits past the end")
        return value

    def end(self):
        need(self.at == len(self.data), "bytes left over")

def records(data):
    """The records of a file between the first and the last, digest checked."""
    need(data[:8] == b"e2" + bytes(6), "no version record")
    need(len(data) >= 48 and data[-40:-32] == struct.pack("<HIH", 0x4C7F, 32, 0), "no digest at the end")
    need(sha(data[:-40]) == data[-32:], "digest does not match")
    reader, found = Reader(data[8:-40]), []
    while reader.at < len(reader.data):
        kind, length, reserved = reader.unpack("HIH")
        need(reserved == 0, "reserved field not zero")
        found.append((kind, reader.take(length)))
    return found

def column(data, limit):
    codec, length = Reader(data).unpack("BI")
    need(length <= limit and codec <= 1, "column too long, or of an unknown codec")
    if codec:
        frame = zstandard.get_frame_parameters(data[5:])
        need(frame.content_size == length and frame.dict_id == 0, "frame of another length")
        need(frame.window_size <= max(length, 1 << 23), "window too large")
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        data = data[:5] + unpacker.decompress(data[5:])
        need(unpacker.eof and not unpacker.unused_data, "not one whole frame")
    need(len(data) == 5 + length, "column of another length")
    return Reader(data[5:])

def read_frontier(data, trusted):
    (kind, content), = records(data)
    reader = Reader(content)
    version, flags, genesis_time = reader.unpack("BBQ")
    need((kind, version, flags) == (0x4C11, 1, 0), "unknown kind, version or flags")
    slot, proposer, parent, state, body = reader.unpack("QQ32s32s32s")
    need(header_root(slot, proposer, parent, state, body) == trusted, "header of another block")
    need(slot <= 1 << 18, "slot past the limit")
    justified, finalized = reader.checkpoint(), reader.checkpoint()
    window, registry, pending, votes = reader.roots(4)
    segments, after = reader.roots(slot // SLOTS), reader.roots(slot % SLOTS)
    reader.end()
    nodes = segments + ([tree(after, 10)] if after else [])
    history = mixed(tree(nodes, 18, 10), slot)
    fields = [number(genesis_time), number(slot), header_root(slot, proposer, parent, ZERO, body),
              checkpoint_root(justified), checkpoint_root(finalized), history, window, registry, pending, votes]
    need(tree(fields, 4) == state, "does not hash to the block's state")
    return slot, genesis_time, registry, segments

def need_one_chain(at, segments):
    """Two names at one place, or one that the frontier does not name there, are two chains: none is believed."""
    for folder in ("segments", "proofs", "frontier"):
        seen = {index: f"{index:05}-{root.hex()}" for index, root in enumerate(segments) if folder != "frontier"}
        for path in sorted(at.glob(f"{folder}/*")):
            if re.fullmatch(r"\d+-[0-9a-f]{64}\.l(seg|prf|frt)", path.name):
                other = seen.setdefault(int(path.stem.split("-")[0]), path.stem)
                need(other == path.stem, f"{folder}/{path.name} and {folder}/{other} are of two chains")

def read_votes(reader, count, previous):
    """Votes of a tally's run."""
    kind = reader.take(1)[0]
    if kind == 0:
        return reader.bitmap(count)
    need(kind == 1 or (kind == 2 and previous is not None), "unknown kind of votes")
    return reader.marks(count) ^ (previous if kind == 2 else 0)

def read_runs(reader, count):
    runs, previous = [], None
    for _ in range(reader.varint()):
        root = reader.take(32)
        previous = read_votes(reader, count, previous)
        runs.append((root, previous))
    return runs

def read_tally(reader, count, before):
    """The pending votes, a list of (root, votes); `before` is the parent's, None for an entry state."""
    kind = reader.take(1)[0]
    need(kind == (0 if before is None else 1), "unknown kind of tally")
    if kind == 0:
        return read_runs(reader, count)
    removed = reader.gaps(reader.varint(), len(before))
    added, after = read_runs(reader, count), list(before)
    for _ in range(reader.varint()):
        index = reader.varint()
        need(index < len(after), "votes for a root that is not there")
        after[index] = (after[index][0], after[index][1] | read_votes(reader, count, None))
    after = [run for index, run in enumerate(after) if index not in set(removed)]
    return sorted(after + added) if removed or added else after

def read_voters(shapes, voters, recent):
    bits = shapes.varint()
    kind = shapes.take(1)[0]
    need(bits <= 4096 and kind <= 10, "unknown kind of voters, or too many")
    if kind == 0:
        value = voters.bitmap(bits)
    else:
        need(kind < 3 or (kind - 3) % 4 < len(recent), "no vote so far back")
        value = recent[-1 - (kind - 3) % 4] if kind >= 3 else 0
        if kind == 2 or kind >= 7:
            value = ~value
        value = value & ((1 << bits) - 1) ^ voters.marks(bits, shapes)
    recent.append(value)
    return value, bits

class Segment:
    """Reads a segment, and compares its blocks and states with what is proven."""

    def __init__(self, data, index, root, net, genesis_time, registry, count, before):
        self.genesis_time, self.registry, self.count, self.before = genesis_time, registry, count, before
        self.first, self.blocks, self.leaves = SLOTS * index, 0, [ZERO] * SLOTS
        parts = records(data)
        need(parts and parts[0][0] == 0x4C01, "no head")
        head = Reader(parts[0][1])
        need(head.unpack("BBI8s32s") == (1, 0, index, net, root), "head of another segment, version or network")
        presence = head.bitmap(SLOTS)
        if presence or index == 0:
            columns = [column(part, limit) for (_, part), limit in zip(parts[1:], LIMITS)]
            need([kind for kind, _ in parts[1:]] == list(range(0x4C02, 0x4C02 + len(columns))), "records out of order")
            need(len(columns) in (7, 8), "a column is missing")
            self.columns = columns + [Reader(b"")] * (8 - len(columns))
            header = head.unpack("QQ32s32s32s")
            need(header[0] < max(self.first, 1) and (index or presence & 1), "entry not before the segment")
            self.read_blocks([self.first + i for i in range(SLOTS) if presence >> i & 1], header)
            for reader in self.columns:
                reader.end()
        else:
            need(len(parts) == 1, "columns of an empty segment")
        head.end()
        need(tree(self.leaves, 10) == root, "blocks do not hash to the segment's root")
        if presence or index == 0:
            self.verify_states()

    def read_blocks(self, slots, header):
        foreign, state_roots, votes, shapes, voters, changes, entry, proposers = self.columns
        need(len(foreign.data) % 40 == 0, "not whole checkpoints")
        self.foreign = [foreign.checkpoint() for _ in range(len(foreign.data) // 40)]
        slot, parent = header[0], header_root(*header)
        self.known = {slot: parent}
        history = entry.take(32) if slot else mixed(zero(18), 0)
        # Genesis is a block of its own segment, any other entry one of an earlier.
        self.states = [(header, history, self.read_change(entry, slot, None))]
        if slots and slots[0] == slot:
            self.leaves[0], slots, self.blocks = parent, slots[1:], 1
        recent, in_turn = [], 0
        until_other = proposers.varint() if proposers.data else None
        for slot in slots:
            body = self.read_body(slot, votes, shapes, voters, recent)
            proposer = slot % self.count
            if in_turn == until_other:
                proposer, in_turn = proposers.varint(), 0
                until_other = proposers.varint() if proposers.at < len(proposers.data) else None
            else:
                in_turn += 1
            header = (slot, proposer, parent, state_roots.take(32), body)
            parent = header_root(*header)
            self.states.append((header, None, self.read_change(changes, slot, self.states[-1][2])))
            self.known[slot] = self.leaves[slot - self.first] = parent
            self.blocks += 1

    def checkpoint(self, reader, slot):
        distance = reader.varint()
        if distance == 0:
            index = reader.varint()
            need(index < len(self.foreign), "no such foreign checkpoint")
            return self.foreign[index]
        need(slot - distance in self.known, "no block so far back")
        return self.known[slot - distance], slot - distance

    def read_body(self, slot, votes, shapes, voters, recent):
        roots = []
        for _ in range(votes.varint()):
            data = [number((slot - votes.varint()) % (1 << 64))]
            data += [checkpoint_root(self.checkpoint(votes, slot)) for _ in range(3)]
            value, bits = read_voters(shapes, voters, recent)
            roots.append(sha(bitlist(value, bits, 4096) + tree(data, 2)))
        need(len(roots) <= 8, "too many votes")
        return mixed(tree(roots, 12), len(roots))

    def read_change(self, reader, slot, before):
        checkpoints = [self.checkpoint(reader, slot), self.checkpoint(reader, slot)]
        bits = reader.varint()
        need(bits <= 1 << 18, "too many justified slots")
        window = reader.marks(bits)
        return checkpoints, (window, bits), read_tally(reader, self.count, before and before[2])

    def verify_states(self):
        for (slot, proposer, parent, state, body), history, ((justified, finalized), window, tally) in self.states:
            if history is None:
                nodes = self.before + [tree(self.leaves[:slot - self.first], 10)]
                history = mixed(tree(nodes, 18, 10), slot)
            votes = sum(run << (self.count * index) for index, (_, run) in enumerate(tally))
            fields = [number(self.genesis_time), number(slot), header_root(slot, proposer, parent, ZERO, body),
                      checkpoint_root(justified), checkpoint_root(finalized), history, bitlist(*window, 1 << 18),
                      self.registry, mixed(tree([root for root, _ in tally], 18), len(tally)),
                      bitlist(votes, self.count * len(tally), 1 << 30)]
            need(tree(fields, 4) == state, f"state of slot {slot} is not the one that its block commits to")

def count_proofs(data, index, root, net):
    (_, head), (kind, digest), (last, proofs) = records(data)
    need((kind, last) == (0x4C32, 0x4C33) and sha(data[:16 + len(head)]) == digest, "index is damaged")
    reader, body = Reader(head), Reader(proofs)
    need(reader.unpack("BB8sI32s") == (1, 0, net, index, root), "of another segment, version or network")
    count = bin(reader.bitmap(SLOTS)).count("1")
    for _ in range(count):
        length, expected = reader.unpack("I32s")
        need(length <= 524288 and sha(body.take(length)) == expected, "a proof is damaged")
    reader.end(), body.end()
    return count

def main(folder, trusted):
    trusted_root = bytes.fromhex(trusted.removeprefix("0x"))
    found = sorted(pathlib.Path(folder).glob(f"**/frontier/*-{trusted_root.hex()}.lfrt"))
    need(len(found) == 1, f"{len(found)} frontiers of this root")
    at = found[0].parents[1]

    def read(name, use):
        try:
            return use((at / name).read_bytes())
        except (Refused, OSError, ValueError, struct.error, zstandard.ZstdError) as error:
            raise Refused(f"{name}: {error}") from error

    name = f"frontier/{found[0].name}"
    slot, genesis_time, registry, segments = read(name, lambda data: read_frontier(data, trusted_root))
    need(found[0].name.startswith(f"{slot:010}-"), f"{name}: its block is of slot {slot}")
    net = sha(b"lamella-archive/1\0" + struct.pack("<Q", genesis_time) + registry)[:8]
    need(at.name == net.hex(), f"the folder {at.name} holds network {net.hex()}")
    name = f"registry/{registry.hex()}.ssz"
    validators = read(name, lambda data: data)
    need(registry_root(validators) == registry, f"{name}: has another root")
    need_one_chain(at, segments)
    count, blocks, proofs = len(validators) // 112, 0, 0
    for index, root in enumerate(segments):
        names = f"{index:05}-{root.hex()}"
        segment = read(f"segments/{names}.lseg", lambda data: Segment(
            data, index, root, net, genesis_time, registry, count, segments[:index]))
        blocks += segment.blocks
        if (at / f"proofs/{names}.lprf").exists():
            proofs += read(f"proofs/{names}.lprf", lambda data: count_proofs(data, index, root, net))
    need(segments, "verified nothing: no segment is complete before this block")
    print(f"verified: {len(segments)} segments, {len(segments) * SLOTS} slots, {blocks} blocks, {blocks} states; "
          f"root 0x{trusted_root.hex()}; not proven: proofs of {proofs} blocks")

if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, TypeError, ValueError) as refusal:
        sys.exit(f"refused: {refusal}")
