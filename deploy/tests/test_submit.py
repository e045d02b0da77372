"""Checks that deploy/submit.py waits for services that start, or ends with one sentence."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import repository

SCRIPT = repository.ROOT / "deploy/submit.py"

# Longer than the outages of these tests, shorter than anybody wants to wait for a test that fails.
WAIT_S = 1.5

# A store's answer to every request, with a body that is the output of a task.
OUTPUT = b'{"data": {"text": "good morning"}}'
FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(OUTPUT), OUTPUT)
STARTING = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"

# Ways in which a server that starts does not serve a connection.
RESET, CLOSED, SILENT = "reset", "closed", "silent"
FAULTS = [RESET, CLOSED, SILENT, STARTING]


class Waiting(unittest.TestCase):
    """The services start after the script, or never."""

    def test_the_first_connections_may_be_reset_or_closed(self):
        for fault in (RESET, CLOSED):
            store = Store(first=[fault, fault])
            redis = Redis(first=[fault, fault])
            self.assert_transcript(submit(store, redis), fault)

    def test_a_service_that_says_that_it_starts_is_waited_for(self):
        store = Store(first=[STARTING, STARTING])
        redis = Redis(first=[b"-LOADING Redis is loading the dataset in memory\r\n"])
        self.assert_transcript(submit(store, redis))

    def test_a_port_that_nothing_listens_on_yet_is_waited_for(self):
        store, redis = Store(delay_s=0.5), Redis(delay_s=0.5)
        self.assert_transcript(submit(store, redis))

    def test_a_service_that_never_answers_is_one_sentence_within_the_limit(self):
        cases = [("the store at ", Store(always=fault), Redis()) for fault in FAULTS]
        cases += [("the store at ", Store(delay_s=60), Redis())]
        cases += [("Redis at ", Store(), Redis(always=fault)) for fault in (RESET, CLOSED, SILENT)]
        cases += [("Redis at ", Store(), Redis(delay_s=60))]
        with ThreadPoolExecutor(len(cases)) as pool:
            outcomes = pool.map(lambda case: submit(*case[1:]), cases)
        for (server, *_), outcome in zip(cases, outcomes, strict=True):
            self.assert_sentence(outcome, server)

    def test_a_refusal_is_not_waited_for(self):
        result, _ = submit(Store(always=FORBIDDEN), Redis())
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^error: the store answers PUT \S+ with 403 Forbidden\n$")

    def test_a_connection_that_is_lost_during_the_task_is_one_sentence(self):
        result, _ = submit(Store(), Redis(loses_the_task=True))
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"\nerror: the connection to Redis at \S+ was lost: .+\n$")
        self.assertNotIn("Traceback", result.stderr)

    def assert_transcript(self, outcome, about: str = ""):
        """Checks that the script printed the transcript."""
        result, _ = outcome
        self.assertEqual((result.stdout, result.returncode), ("good morning\n", 0), result.stderr)
        self.assertNotIn("Traceback", result.stderr, about)

    def assert_sentence(self, outcome, server: str):
        """Checks that the script ended in time with an error about the server and no more."""
        result, took_s = outcome
        *notes, error = result.stderr.splitlines()
        self.assertEqual((result.stdout, result.returncode), ("", 1), result.stderr)
        self.assertRegex(error, rf"^error: {server}\S+ did not answer within {WAIT_S:g} s: .+")
        for note in notes:
            self.assertRegex(note, r"^waiting for ")
        # On a machine that compiles at the same time, the interpreter's start takes seconds.
        self.assertLess(took_s, WAIT_S + 5)


def submit(store, redis) -> tuple[subprocess.CompletedProcess, float]:
    """Runs the script against the servers; returns how it ended, and its seconds."""
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
        "DALSTON_S3_ENDPOINT_URL": f"http://127.0.0.1:{store.port}",
    }
    start = time.monotonic()
    with tempfile.NamedTemporaryFile() as recording:
        recording.write(b"sound")
        recording.flush()
        command = [sys.executable, SCRIPT, "--wait-s", str(WAIT_S), recording.name]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
    return result, time.monotonic() - start


class Server:
    """A server whose first connections, or all of them, meet a fault."""

    def __init__(self, first=(), always=None, delay_s: float = 0):
        """Listens from `delay_s` on; before that, the port refuses connections."""
        self.faults = list(first)
        self.always = always
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        if delay_s == 0:
            self.listener.listen()
        threading.Thread(target=self.accept, args=(delay_s,), daemon=True).start()

    def accept(self, delay_s: float):
        """Gives every connection a thread."""
        if delay_s > 0:
            time.sleep(delay_s)
            self.listener.listen()
        while True:
            connection, _ = self.listener.accept()
            fault = self.faults.pop(0) if self.faults else self.always
            threading.Thread(target=self.answer, args=(connection, fault), daemon=True).start()

    def answer(self, connection, fault):
        """Serves a connection, or lets it meet its fault."""
        if fault:
            self.fail(connection, fault)
        else:
            self.serve(connection)

    def fail(self, connection, fault):
        """Treats a connection as a server that starts."""
        if fault == SILENT:
            time.sleep(60)
        if fault == RESET:
            # Closing with a linger time of zero sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(fault, bytes):
            connection.recv(65536)
            connection.sendall(fault)
        connection.close()

    def serve(self, connection):
        """Answers the requests of a connection."""
        raise NotImplementedError


class Store(Server):
    """An S3 server that takes every object and has one output."""

    def serve(self, connection):
        """Answers one request; urllib makes a connection for each."""
        with connection, connection.makefile("rb") as stream:
            n_bytes = 0
            while (line := stream.readline().lower()) not in (b"\r\n", b""):
                if line.startswith(b"content-length:"):
                    n_bytes = int(line.split(b":")[1])
            stream.read(n_bytes)
            connection.sendall(FOUND)


class Redis(Server):
    """A Redis whose queue ends every task at once."""

    def __init__(self, loses_the_task: bool = False, **faults):
        """Closes the subscription with the first task if it loses the task."""
        self.loses_the_task = loses_the_task
        self.subscriber = None
        super().__init__(**faults)

    def serve(self, connection):
        """Answers the commands that the script sends."""
        stream = connection.makefile("rwb")
        while line := stream.readline():
            words = []
            for _ in range(int(line[1:])):
                stream.readline()
                words.append(stream.readline().strip().decode())
            if words[0] == "SUBSCRIBE":
                self.subscriber = connection
                connection.sendall(b"*3\r\n" + bulk("subscribe") + bulk(words[1]) + b":1\r\n")
                continue
            connection.sendall(b"+OK\r\n")
            if words[0] == "LPUSH" and self.loses_the_task:
                self.subscriber.shutdown(socket.SHUT_RDWR)
            elif words[0] == "LPUSH":
                event = f'{{"type": "task.completed", "task_id": "{words[2]}"}}'
                message = b"*3\r\n" + bulk("message") + bulk("dalston:events") + bulk(event)
                self.subscriber.sendall(message)


def bulk(text: str) -> bytes:
    """Encodes a string of Redis's protocol."""
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


if __name__ == "__main__":
    unittest.main()
