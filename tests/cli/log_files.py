"""Writes .log files batch by batch, for states of a partition that `append` alone cannot make: transactions, damage."""

import struct

ABORT, COMMIT = 0, 1
NO_PRODUCER = -1


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sized(content):
    return _varint(-1) if content is None else _varint(len(content)) + content


def _record(delta, key, value):
    body = b"\0" + _varint(0) + _varint(delta) + _sized(key) + _sized(value) + _varint(0)
    return _varint(len(body)) + body


def batch(base_offset, values, producer_id=NO_PRODUCER, sequence=-1, transactional=False, control=False, keys=None,
          epoch=0, timestamp=1_700_000_000_000):
    """One record batch of magic 2 with these values (bytes), checksum and all."""
    keys = keys or [None] * len(values)
    records = b"".join(_record(i, key, value) for i, (key, value) in enumerate(zip(keys, values)))
    attributes = (0x10 if transactional else 0) | (0x20 if control else 0)
    producer_epoch = 0 if producer_id != NO_PRODUCER else -1
    checked = struct.pack(">hiqqqhii", attributes, len(values) - 1, timestamp, timestamp, producer_id, producer_epoch,
                          sequence, len(values)) + records
    return struct.pack(">qiibI", base_offset, 9 + len(checked), epoch, 2, crc32c(checked)) + checked


def data(base_offset, values, producer_id, sequence=0):
    """A batch of an open transaction."""
    return batch(base_offset, [value.encode() for value in values], producer_id, sequence, transactional=True)


def marker(base_offset, kind, producer_id):
    """The control batch that ends a transaction."""
    return batch(base_offset, [struct.pack(">hi", 0, 0)], producer_id, transactional=True, control=True,
                 keys=[struct.pack(">hh", 0, kind)])


def write_log(partition, batches, base_offset=0):
    """Makes a partition of one segment; returns the position of each batch."""
    partition.mkdir(exist_ok=True)
    (partition / f"{base_offset:020}.log").write_bytes(b"".join(batches))
    positions = [0]
    for one in batches[:-1]:
        positions.append(positions[-1] + len(one))
    return positions
