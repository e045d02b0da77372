#!/usr/bin/env python3
"""Submits a recording to a worker as Dalston does, and prints what comes back.

    python3 deploy/submit.py [--json] [--model ID] [--engine ID] FILE

The script follows the contracts m22 and m22-typed, and needs no package. By default it uses the
services of compose.yaml; REDIS_URL, DALSTON_S3_BUCKET, DALSTON_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY name other services. Exit code: 0 with a transcript, 1 if the task failed.
"""

import argparse
import hashlib
import hmac
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

# The lifetime that Dalston gives a task's hash.
TASK_TTL_S = 86400


def main() -> int:
    """Parses the command line, submits the recording and waits for the end of its task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="audio of any format that the worker reads")
    parser.add_argument("--model", help="the id of a model that the worker has a bundle of")
    parser.add_argument("--engine", default="parakeet", help="the id of the engine to give it to")
    parser.add_argument("--json", action="store_true", help="print the whole output, not its text")
    arguments = parser.parse_args()
    output = run_task(arguments.file.read_bytes(), arguments.engine, arguments.model)
    if output is None:
        return 1
    data = output["data"]
    print(json.dumps(data, indent=2) if arguments.json else data["text"])
    return 0


def run_task(audio: bytes, engine_id: str, model: str | None) -> dict | None:
    """Submits a new task and returns its output; prints the error and returns `None` if it fails."""
    store = Store()
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
    events, redis = Redis(), Redis()
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
        event = json.loads(events.reply()[2])
        if event.get("task_id") != task_id:
            continue
        print(event["type"], file=sys.stderr)
        if event["type"] == "task.failed":
            print(f"error: {event['error']}", file=sys.stderr)
            return None
        if event["type"] == "task.completed":
            return json.loads(store.request("GET", f"{folder}/output.json"))


class Redis:
    """A connection to Redis, with the part of the protocol that this script needs."""

    def __init__(self):
        """Connects to the server of REDIS_URL."""
        url = urllib.parse.urlsplit(os.environ.get("REDIS_URL", "redis://localhost:6379"))
        if url.scheme != "redis":
            sys.exit("error: only redis:// is spoken here")
        address = (url.hostname or "localhost", url.port or 6379)
        try:
            self.stream = socket.create_connection(address).makefile("rwb")
        except OSError as why:
            sys.exit(f"error: no Redis at {address[0]}:{address[1]}: {why}")
        if url.password:
            user = [urllib.parse.unquote(url.username)] if url.username else []
            self.call("AUTH", *user, urllib.parse.unquote(url.password))
        if url.path.strip("/"):
            self.call("SELECT", url.path.strip("/"))

    def call(self, *words: str):
        """Sends a command and returns its reply."""
        encoded = [word.encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self.stream.write(b"".join(parts))
        self.stream.flush()
        return self.reply()

    def reply(self):
        """Reads one reply; exits if Redis answers with an error."""
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            sys.exit("error: Redis has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            sys.exit(f"error: Redis says {rest.decode()}")
        if kind == b"$":
            return self.stream.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest


class Store:
    """An S3 server; requests are signed with AWS Signature Version 4."""

    def __init__(self):
        """Reads the settings from the environment."""
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
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.read()
        except urllib.error.HTTPError as why:
            sys.exit(f"error: the store answers {method} {key} with {why.code} {why.reason}")
        except urllib.error.URLError as why:
            sys.exit(f"error: no store at {self.endpoint}: {why.reason}")


if __name__ == "__main__":
    sys.exit(main())
