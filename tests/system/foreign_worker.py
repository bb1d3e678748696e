#!/usr/bin/env python3
"""A worker for Ventile, written from PROTOCOL.md alone. It serves the function `upper`: its strings, joined, in upper
case. Tasks run one at a time, between messages. It leaves when the dispatcher does, or drains on SIGTERM.

usage: foreign_worker.py DISPATCHER-ADDRESS
"""
import collections
import os
import secrets
import signal
import struct
import sys
import time

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

HELLO, WELCOME, REFUSED, HELLO_AGAIN, OPEN, ROUTE, TASKS, PART = 0x01, 0x02, 0x03, 0x04, 0x10, 0x12, 0x20, 0x21
RESULTS, VERDICTS, RETRACT, RETURN, CANCEL, PROGRESS, PACE = 0x22, 0x24, 0x25, 0x26, 0x27, 0x31, 0x33
CLOSE, BYE = 0x42, 0x43
NOT_BEGUN, FAILED, CANCELLED, UNKNOWN = range(4)  # Why a RETURN.
DONE, LEAVING = range(2)  # Why a BYE.
OUTCOME_FAILED = 1
NONE = (0, 0)  # No job, no lease, no machine.
FRAME_BYTES_MAX, SECTION_BYTES_MAX = 2 << 20, 1 << 18
TASKS_MAX, BYTES_MAX = 1 << 16, 1 << 26  # Credit.
TEXT = {"unicode_errors": "surrogateescape"}  # Text may be any bytes.

# --- Frames ------------------------------------------------------------------------------------------------------

HEADER = struct.Struct("<4sHHBBHIIIQQQQQI")  # All but its own checksum.
CRC_TABLE = list(range(256))
for _ in range(8):
    CRC_TABLE = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in CRC_TABLE]
Message = collections.namedtuple("Message", "kind job session body payloads")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def unpack_all(data):
    unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=len(data), **TEXT)
    unpacker.feed(data)
    return list(unpacker)


def encode(kind, body, job, incarnation, session, sequence, payloads=()):
    ends, end = [], 0
    for payload in payloads:
        end += len(payload)
        ends.append(end)
    section = b"".join(payloads) + struct.pack(f"<{len(ends)}I", *ends)
    fields = msgpack.packb(body, **TEXT)
    header = HEADER.pack(b"VNTL", 1, 0, kind, 0, 72, len(fields), len(ends), len(section), *job, incarnation, session,
                         sequence, crc32c(section + fields))
    return header + struct.pack("<I", crc32c(header)) + section + fields


def decode(frame):
    """Raises ValueError if it is not a good frame."""
    if len(frame) < 72 or frame[:8] != b"VNTL\x01\0\0\0" or crc32c(frame[:68]) != int.from_bytes(frame[68:72], "little"):
        raise ValueError("not a frame of version 1")
    (*_, kind, flags, length, body_length, count, section_length, high, low, _, session, _,
     checksum) = HEADER.unpack_from(frame)
    one_size = flags == 1
    table = section_length if one_size else section_length - 4 * count
    if one_size and (count == 0 or section_length < count or section_length % count != 0):
        raise ValueError("the payloads cannot have one size")
    if (flags | 1, length, len(frame)) != (1, 72, 72 + section_length + body_length) or table < 0:
        raise ValueError("the lengths do not add up")
    section, body = frame[72:72 + section_length], unpack_all(frame[72 + section_length:])
    if one_size:
        ends = range(0, section_length + 1, section_length // count)
    else:
        ends = (0, *struct.unpack_from(f"<{count}I", section, table))
    if checksum != crc32c(frame[72:]) or ends[-1] != table or len(body) != 1 or not isinstance(body[0], list):
        raise ValueError("checksum, table or body is wrong")
    return Message(kind, (high, low), session, body[0], [section[a:b] for a, b in zip(ends, ends[1:])])


class Sender:
    """A socket that never blocks, with what it had no room for."""

    def __init__(self, context, kind, address):
        self.socket, self.queue, self.sequence, self.transfers = context.socket(kind), collections.deque(), 0, 0
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.socket.connect(address)

    def send(self, kind, body, job, incarnation, session, payloads=()):
        self.sequence += 1
        envelope = (job, incarnation, session, self.sequence)
        frame = encode(kind, body, *envelope, payloads)
        if len(frame) <= FRAME_BYTES_MAX:
            self.queue.append(frame)
        else:
            self.transfers += 1
            step = FRAME_BYTES_MAX - 256
            for at in range(0, len(frame), step):
                self.queue.append(encode(PART, [self.transfers, at, len(frame)], *envelope, [frame[at:at + step]]))
        self.flush()

    def flush(self):
        while self.queue and self.socket.poll(0, zmq.POLLOUT):
            self.socket.send(self.queue.popleft(), zmq.DONTWAIT)

    def was_disconnected(self):
        return self.monitor.poll(0) and recv_monitor_message(self.monitor)["event"] == zmq.EVENT_DISCONNECTED

    def close(self):
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=500)


# --- Work --------------------------------------------------------------------------------------------------------

Task = collections.namedtuple("Task", "job lease number tries seal payload")


class Result:
    def __init__(self, job, body, payloads):
        self.job, self.body, self.payloads, self.waiting = job, body, payloads, True
        self.open = set(range(body[1][0], sum(body[1])))  # Numbers without a verdict.


def upper(*texts):
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"expected strings, found {text!r}")
    return "".join(texts).upper()


class Worker:
    def __init__(self, address):
        self.context = zmq.Context()
        self.node, self.incarnation = [secrets.randbits(64), secrets.randbits(64)], secrets.randbits(64) | 1
        self.dispatcher, self.parts = Sender(self.context, zmq.DEALER, address), {}
        self.greeting, self.pause, self.total, self.sinks = 0, 1.0, 0, {}
        self.leaving = self.gone = False

    def say(self, kind, body, job=NONE):
        self.dispatcher.send(kind, body, job, self.incarnation, self.session)

    def hello(self, now):
        """Begins anew: what an earlier session has left is forgotten, and so not listed as held."""
        for sink in self.sinks.values():
            sink.close()
        self.jobs, self.routes, self.sinks = {}, {}, {}  # Job to OPEN; job to sink; sink to Sender.
        self.queue, self.kept, self.finished = collections.deque(), [], collections.Counter()
        self.session, self.greeting, self.received = 0, self.greeting + 1, [0, 0]
        self.next_word, self.pause = now + self.pause, min(2 * self.pause, 8.0)
        self.dispatcher.queue.clear()
        self.say(HELLO, [0, self.node, f"python:{os.getpid()}", "foreign", 1, [["upper", True]], "", self.credit(), [],
                         self.greeting, NONE])

    def credit(self):
        held = len(self.queue) + sum(len(result.open) for result in self.kept)
        waiting = sum(len(task.payload) for task in self.queue)
        return [self.received[0] + max(TASKS_MAX - held, 0), self.received[1] + max(BYTES_MAX - waiting, 0)]

    def progress(self, now):
        self.next_word = now + self.heartbeat
        self.say(PROGRESS, [self.credit(), 1, self.total, [[*key, count, 0] for key, count in self.finished.items()]])

    def take(self, frame, now):
        kind, job, session, body, payloads = decode(frame)
        if kind == PART:
            so_far = self.parts.setdefault(body[0], bytearray())
            so_far += payloads[0] if body[1] == len(so_far) else b""
            self.heard = now
            if len(so_far) == body[2]:
                self.take(bytes(self.parts.pop(body[0])), now)
        elif kind == WELCOME and not self.session and body[2] == self.greeting:
            self.session, self.pause, self.heard = session, 1.0, now
            self.heartbeat, self.dead_after = body[0] / 1000, body[1] / 1000
            self.progress(now)
        elif kind == HELLO_AGAIN and self.session:
            self.hello(now)
        elif kind == REFUSED:
            print("refused:", body[1], file=sys.stderr)
            self.gone = body[0] != 2
        elif self.session and session == self.session:
            self.heard = now
            if kind == PACE:
                self.heartbeat, self.dead_after = body[0] / 1000, body[1] / 1000
                self.next_word = min(self.next_word, now + self.heartbeat)
            else:
                self.take_work(kind, job, body, payloads)

    def take_work(self, kind, job, body, payloads):
        if kind == OPEN:
            self.jobs[job] = body
        elif kind == ROUTE:
            self.routes[job] = body[0]
            if body[0] not in self.sinks:
                self.sinks[body[0]] = Sender(self.context, zmq.PUSH, body[1])
            self.send_again(body[0])
        elif kind == TASKS:
            self.on_tasks(job, tuple(body[0]), body[1], body[2], body[3], payloads)
        elif kind == VERDICTS:
            for lease, (first, count), _ in body[0]:
                for result in self.kept:
                    if (result.job, tuple(result.body[0])) == (job, tuple(lease)):
                        result.open = {number for number in result.open if not first <= number < first + count}
            self.kept = [result for result in self.kept if result.open]
        elif kind == RETRACT:
            numbers = sorted(task.number for task in self.queue if task.lease == tuple(body[0]))
            self.give_back(job, tuple(body[0]), numbers[max(len(numbers) - body[1], 0):], NOT_BEGUN)
        elif kind == CANCEL and tuple(body[0]) == NONE:
            self.give_back_all(CANCELLED, lambda task: task.job == job)
        elif kind == CANCEL:
            first, count = body[1]
            self.drop(lambda task: task.lease == tuple(body[0]) and first <= task.number < first + count)
        elif kind == CLOSE:
            self.drop(lambda task: task.job == job)
            self.kept = [result for result in self.kept if result.job != job]
            for key in [key for key in self.finished if key[0] == job]:
                del self.finished[key]
        elif kind == BYE:
            self.gone = True

    def on_tasks(self, job, lease, span, tries, seal, payloads):
        self.received = [self.received[0] + span[1], self.received[1] + sum(map(len, payloads))]
        if self.leaving or job not in self.jobs or self.jobs[job][1] != "upper":
            reason = NOT_BEGUN if self.leaving else UNKNOWN
            return self.say(RETURN, [lease, [span], reason, "", "it has only upper"], job)
        self.queue.extend(Task(job, lease, number, tries, seal, payloads[number - span[0]] if payloads else b"")
                          for number in range(span[0], sum(span)))

    def drop(self, unwanted):
        self.queue = collections.deque(task for task in self.queue if not unwanted(task))

    def give_back(self, job, lease, numbers, reason, *why):
        gone = set(numbers)
        self.drop(lambda task: task.lease == lease and task.number in gone)
        self.say(RETURN, [lease, [[number, 1] for number in numbers], reason, *(why or ("", ""))], job)

    def give_back_all(self, reason, wanted):
        for job, lease in {(task.job, task.lease) for task in self.queue if wanted(task)}:
            self.give_back(job, lease, [task.number for task in self.queue if task.lease == lease], reason)

    def run_some(self):
        """Runs tasks for some milliseconds, as long as one result may carry theirs."""
        job, lease, first, tries, seal, _ = self.queue[0]
        _, _, constants, _, (is_index, start, step), _, tries_max, _, _ = self.jobs[job]
        began, payloads, failures = time.monotonic_ns(), [], []
        while (self.queue and self.queue[0][:5] == (job, lease, first + len(payloads), tries, seal) and
               sum(map(len, payloads)) < SECTION_BYTES_MAX and time.monotonic_ns() - began < 5_000_000):
            task = self.queue.popleft()
            self.total += 1
            try:
                own = [start + step * task.number] if is_index else unpack_all(task.payload)
                payloads.append(msgpack.packb(upper(*unpack_all(constants), *own), **TEXT))
            except TypeError as error:
                if tries + 1 < tries_max:
                    self.give_back(job, lease, [task.number], FAILED, "arguments", str(error))
                    break
                failures.append([len(payloads), OUTCOME_FAILED])
                payloads.append(msgpack.packb({"kind": "arguments", "message": str(error)}, **TEXT))
        self.finished[job, lease] += len(payloads)
        if payloads:
            busy = time.monotonic_ns() - began
            body = [lease, [first, len(payloads)], False, tries + 1, busy, failures, seal]
            self.kept.append(Result(job, body, payloads))

    def send_again(self, sink):
        for result in self.kept:
            result.waiting = result.waiting or self.routes[result.job] == sink

    def send_results(self):
        for sink, sender in self.sinks.items():
            if sender.was_disconnected():
                sender.queue.clear()
                self.send_again(sink)
            sender.flush()
        for result in self.kept:
            sender = self.sinks[self.routes[result.job]]
            if result.waiting and not sender.queue:
                result.waiting = False
                sender.send(RESULTS, result.body, result.job, self.incarnation, 0, result.payloads)

    def turn(self, now):
        if now >= (self.heard + self.dead_after if self.session else self.next_word):
            self.hello(now)
        elif self.session and now >= self.next_word:
            self.progress(now)
        if self.queue:
            self.run_some()
        self.send_results()
        self.dispatcher.flush()

    def drain(self):
        if not self.leaving:
            self.leaving = True
            self.say(BYE, [LEAVING, ""])
            self.give_back_all(NOT_BEGUN, lambda task: True)
        if not self.kept and not self.gone:
            self.say(BYE, [DONE, ""])
            self.gone = self.dispatcher.socket.poll(500) >= 0  # Its answer, or none.

    def run(self):
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        self.hello(time.monotonic())
        while not self.gone:
            self.dispatcher.socket.poll(0 if self.queue else 50)
            now = time.monotonic()
            while not self.gone and self.dispatcher.socket.poll(0):
                try:
                    self.take(self.dispatcher.socket.recv(), now)
                except ValueError as error:
                    print("malformed:", error, file=sys.stderr)
            self.turn(now)
            if stop and not self.gone:
                self.drain()
        print(f"left after {self.total} tasks", file=sys.stderr)
        for sender in (self.dispatcher, *self.sinks.values()):
            sender.close()
        self.context.term()


Worker(sys.argv[1]).run()
