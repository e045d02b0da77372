#!/usr/bin/env python3
"""Submits a recording to a worker as Dalston does, and prints what comes back.

    python3 deploy/submit.py [--json] [--model ID] [--engine ID] [--wait-s SECONDS] FILE

The script follows the contracts m22 and m22-typed, and needs no package. By default it uses the
services of compose.yaml; REDIS_URL, DALSTON_S3_BUCKET, DALSTON_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY name other services. Exit code: 0 with a transcript, 1 if the task failed or a
service did not answer in time.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

# The lifetime that Dalston gives a task's hash.
TASK_TTL_S = 86400

# SeaweedFS answers up to five seconds after `docker compose up`; a busy machine takes longer.
WAIT_S = 15

# The pause between two attempts, and the shortest time that an attempt has.
PAUSE_S = 0.3


def main() -> int:
    """Parses the command line, submits the recording and waits for the end of its task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="audio of any format that the worker reads")
    parser.add_argument("--model", help="the id of a model that the worker has a bundle of")
    parser.add_argument("--engine", default="parakeet", help="the id of the engine to give it to")
    parser.add_argument("--json", action="store_true", help="print the whole output, not its text")
    parser.add_argument(
        "--wait-s",
        type=float,
        default=WAIT_S,
        metavar="SECONDS",
        help="how long Redis and the store may take to answer (default: %(default)s)",
    )
    arguments = parser.parse_args()
    try:
        audio = arguments.file.read_bytes()
    except OSError as why:
        sys.exit(f"error: cannot read {arguments.file}: {why.strerror}")
    output = run_task(audio, arguments.engine, arguments.model, arguments.wait_s)
    if output is None:
        return 1
    data = output["data"]
    print(json.dumps(data, indent=2) if arguments.json else data["text"])
    return 0


def run_task(audio: bytes, engine_id: str, model: str | None, wait_s: float) -> dict | None:
    """Submits a new task and returns its output; prints the error and returns `None` if it fails."""
    store = Store(wait_s)
    job_id, task_id = str(uuid.uuid4()), str(uuid.uuid4())
    audio_key = f"jobs/{job_id}/audio/original"
    task = {
        "task_id": task_id,
        "job_id": job_id,
        "audio_uri": f"s3://{store.bucket}/{audio_key}",
        "previous_outputs": {},
        "config": {"model": model} if model else {},
    }
    folder = f"jobs/{job_id}/tasks/{task_id}"
    store.request("PUT", audio_key, audio)

    # The subscription comes before the task: an event that is published earlier would be lost. A
    # connection that subscribes can send no other command, hence two connections.
    events, redis = Redis(wait_s), Redis(wait_s)
    events.call("SUBSCRIBE", "dalston:events")
    # In Dalston's order: the hash, the request, the task's id in the queue. A worker that takes the id
    # then finds the other two.
    key = f"dalston:task:{task_id}"
    about = {"job_id": job_id, "stage": "transcribe", "engine_id": engine_id}
    redis.call("HSET", key, *(word for field in about.items() for word in field))
    redis.call("EXPIRE", key, str(TASK_TTL_S))
    store.request("PUT", f"{folder}/input.json", json.dumps(task).encode())
    redis.call("LPUSH", f"dalston:queue:{engine_id}", task_id)
    print("task is in the queue", file=sys.stderr)

    while True:
        event = events.event()
        if event.get("task_id") != task_id:
            continue
        print(event["type"], file=sys.stderr)
        if event["type"] == "task.failed":
            print(f"error: {event['error']}", file=sys.stderr)
            return None
        if event["type"] == "task.completed":
            return json.loads(store.request("GET", f"{folder}/output.json"))


class NotYetError(Exception):
    """The server answers, but cannot serve yet."""


def until_answered(server: str, wait_s: float, attempt: Callable):
    """Calls `attempt` with the seconds it may take until it succeeds; exits after `wait_s`.

    While a server starts, connections to it are refused, or docker's proxy takes and resets them.
    """
    end = time.monotonic() + wait_s
    waiting = False
    while True:
        try:
            return attempt(max(end - time.monotonic(), PAUSE_S))
        except (OSError, http.client.HTTPException, NotYetError) as why:
            reason = getattr(why, "reason", why)
            if time.monotonic() + PAUSE_S > end:
                sys.exit(f"error: {server} did not answer within {wait_s:g} s: {reason}")
            if not waiting:
                print(f"waiting for {server}: {reason}", file=sys.stderr)
            waiting = True
        time.sleep(PAUSE_S)


class Redis:
    """A connection to Redis, with the part of the protocol that this script needs."""

    def __init__(self, wait_s: float):
        """Connects to the server of REDIS_URL, and waits until it answers."""
        self.url = urllib.parse.urlsplit(os.environ.get("REDIS_URL", "redis://localhost:6379"))
        if self.url.scheme != "redis":
            sys.exit("error: only redis:// is spoken here")
        self.address = (self.url.hostname or "localhost", self.url.port or 6379)
        self.name = f"Redis at {self.address[0]}:{self.address[1]}"
        self.stream = until_answered(self.name, wait_s, self.connect)

    def connect(self, timeout_s: float):
        """Opens a connection on which Redis has answered."""
        connection = socket.create_connection(self.address, timeout_s)
        stream = connection.makefile("rwb")
        if self.url.password:
            user = [urllib.parse.unquote(self.url.username)] if self.url.username else []
            exchange(stream, "AUTH", *user, urllib.parse.unquote(self.url.password))
        if self.url.path.strip("/"):
            exchange(stream, "SELECT", self.url.path.strip("/"))
        exchange(stream, "PING")
        # An event may take as long as its task.
        connection.settimeout(None)
        return stream

    def call(self, *words: str):
        """Sends a command and returns its reply.

        A lost connection is the end: a command may have reached Redis, and a task that is submitted
        twice is done twice.
        """
        try:
            return exchange(self.stream, *words)
        except OSError as why:
            sys.exit(f"error: the connection to {self.name} was lost: {why}")

    def event(self) -> dict:
        """Waits for the next message of a subscription and returns its content."""
        try:
            return json.loads(reply(self.stream)[2])
        except OSError as why:
            sys.exit(f"error: the connection to {self.name} was lost: {why}")


def exchange(stream, *words: str):
    """Sends a command to Redis and returns the reply."""
    encoded = [word.encode() for word in words]
    parts = [b"*%d\r\n" % len(encoded)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
    stream.write(b"".join(parts))
    stream.flush()
    return reply(stream)


def reply(stream):
    """Reads one reply of Redis; exits if it is an error."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("Redis has closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        if rest.startswith(b"LOADING"):
            raise NotYetError(rest.decode())
        sys.exit(f"error: Redis says {rest.decode()}")
    if kind == b"$":
        text = stream.read(int(rest) + 2)
        if not text.endswith(b"\r\n"):
            raise ConnectionResetError("Redis has closed the connection")
        return text[:-2]
    if kind == b"*":
        return [reply(stream) for _ in range(int(rest))]
    return rest


class Store:
    """An S3 server; requests are signed with AWS Signature Version 4."""

    def __init__(self, wait_s: float):
        """Reads the settings from the environment; a request waits `wait_s` for an answer."""
        self.wait_s = wait_s
        self.bucket = os.environ.get("DALSTON_S3_BUCKET", "dalston-artifacts")
        self.endpoint = os.environ.get("DALSTON_S3_ENDPOINT_URL", "http://localhost:8333")
        self.region = os.environ.get("DALSTON_S3_REGION", "us-east-1")
        self.user = os.environ.get("AWS_ACCESS_KEY_ID", "dalston")
        self.secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "dalston-secret")

    def request(self, method: str, key: str, body: bytes = b"") -> bytes:
        """Puts or gets an object; returns the body of the response."""
        url = urllib.parse.urlsplit(f"{self.endpoint.rstrip('/')}/{self.bucket}/{key}")
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical_request = f"{method}\n{url.path}\n\n{lines}\n{names}\n{digest}"
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        request_digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        string_to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{request_digest}"
        signature = f"AWS4{self.secret}".encode()
        for part in [*scope.split("/"), string_to_sign]:
            signature = hmac.digest(signature, part.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.user}/{scope}, "
            f"SignedHeaders={names}, Signature={signature.hex()}"
        )
        request = urllib.request.Request(url.geturl(), body or None, headers, method=method)

        def attempt(timeout_s: float) -> bytes:
            try:
                with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                    return answer.read()
            except urllib.error.HTTPError as why:
                answer = f"{method} {key} with {why.code} {why.reason}"
                if why.code < 500:
                    sys.exit(f"error: the store answers {answer}")
                raise NotYetError(answer) from why

        return until_answered(f"the store at {self.endpoint}", self.wait_s, attempt)


if __name__ == "__main__":
    sys.exit(main())
