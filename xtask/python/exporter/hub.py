"""Fetches a checkpoint from the model hub and holds it to the digest that the hub states.

The hub's own client does the transfer, with its cache, its token and its environment variables:
HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE. It checks the size of what it wrote; the SHA-256 is
checked here. An interrupted transfer goes on where it stopped, in this process or in the next.
"""

import argparse
import logging
import os
import re
import sys
import time
from pathlib import Path

# The client of the hub's chunked storage (Xet) starts an interrupted file afresh. Plain HTTP
# resumes an interrupted file, and works through mirrors. HF_HUB_DISABLE_XET=0 selects chunked
# storage.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")

import httpx
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)

from exporter.errors import ExportError
from exporter.manifest import sha256

ATTEMPTS = 5
# The hub counts requests in windows of 5 minutes, so a longer wait is not worth a person's time.
LONGEST_WAIT_S = 300
LISTING_TIMEOUT_S = 30
SHA256 = re.compile(r"[0-9a-f]{64}")
ENDPOINT = constants.ENDPOINT


def main() -> int:
    """Prints the checkpoint's path. Exit code: 0, 1 after a sentence on stderr, 130 if stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", metavar="OWNER/NAME", help="a repository of the hub")
    # The client logs every attempt with its addresses; `explain` reports a failure once instead.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        print(fetch(parser.parse_args().repository))
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    return 0


def fetch(repository: str) -> Path:
    """Fetches the repository's checkpoint and returns its path in the client's cache.

    The SHA-256 of the file is that of the hub. Raises `ExportError` with one sentence that says
    what to do.
    """
    path = download(repository)
    verify(path, repository)
    return path


def download(repository: str) -> Path:
    """Transfers the checkpoint unless the cache holds it; retries failures that may pass."""
    restart = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            name = checkpoint_name(repository)
            print_progress(f"fetching {name} of {repository} from {ENDPOINT}")
            return Path(hf_hub_download(repository, name, force_download=restart))
        except (HfHubHTTPError, httpx.HTTPError, HFValidationError, OSError) as error:
            reason = root_cause(error)
            wait = seconds_to_wait(reason, attempt)
            if wait is None or attempt == ATTEMPTS:
                raise ExportError(explain(reason, repository)) from error
            # The bytes written so far belong to another file: the next attempt starts afresh.
            restart = size_contradicts_hub(reason)
            print_progress(
                f"{first_line(reason)}; going on in {wait} s (attempt {attempt} of {ATTEMPTS})"
            )
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def checkpoint_name(repository: str) -> str:
    """Returns the name of the repository's only .nemo file, or of the one named like it."""
    names = [name for name in file_names(repository) if name.endswith(".nemo")]
    own = f"{repository.split('/')[-1]}.nemo"
    if own in names:
        return own
    if len(names) == 1:
        return names[0]
    found = f"{len(names)} of them: {', '.join(sorted(names))}" if names else "none"
    raise ExportError(f"{repository} should hold one .nemo file, but has {found}")


def file_names(repository: str) -> list[str]:
    """Returns the files that the hub lists, or the cached files if the hub cannot be reached."""
    try:
        files = HfApi().model_info(repository, timeout=LISTING_TIMEOUT_S).siblings
        return [file.rfilename for file in files or []]
    except (OfflineModeIsEnabled, httpx.ConnectError, httpx.ConnectTimeout) as error:
        try:
            folder = Path(snapshot_download(repository, local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
        print_progress(
            f"{ENDPOINT} is not asked or does not answer: looking in the cache, {folder}"
        )
        return [str(path.relative_to(folder)) for path in folder.rglob("*.nemo")]


def verify(path: Path, repository: str) -> None:
    """Compares the file with the digest that the hub states; removes the file if they differ.

    The client names a stored file by the hub's etag, which for large files is the SHA-256.
    """
    stored = path.resolve()
    stated = stored.name
    if not SHA256.fullmatch(stated):
        raise ExportError(
            f"{path} cannot be checked: the hub states no SHA-256 for {path.name} of {repository}, "
            "or HF_HOME lies on a file system without symbolic links; download the file yourself, "
            "compare it with its page on the hub, and export it by its path"
        )
    print_progress(f"checking {path.name}, {stored.stat().st_size / 1e9:.2f} GB")
    found = sha256(stored)
    if found != stated:
        path.unlink()
        stored.unlink()
        raise ExportError(
            f"{path.name} of {repository} arrived damaged: its SHA-256 is {found}, the hub states "
            f"{stated}; it was removed, run the same command again (and check the mirror or proxy "
            "in between if this repeats)"
        )
    print_progress(f"SHA-256 {stated}, as the hub states")


def root_cause(error: Exception) -> Exception:
    """Returns the failure of the first request, which the client reports as 'not in the cache'."""
    hidden = error.__cause__
    if isinstance(error, LocalEntryNotFoundError) and isinstance(hidden, Exception):
        return hidden
    return error


def seconds_to_wait(error: Exception, attempt: int) -> int | None:
    """Returns the wait before another attempt; None where another attempt cannot help."""
    if status(error) == 429:
        wait = retry_after(error)
        return wait if wait <= LONGEST_WAIT_S else None
    if status(error) >= 500 or size_contradicts_hub(error):
        return 2**attempt
    # A refused connection or an unknown host name does not pass within a minute.
    broken = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)
    return 1 if broken else None


def size_contradicts_hub(error: Exception) -> bool:
    """Whether the size of the partial file contradicts the hub, so that resuming cannot help."""
    return status(error) == 416 or "Consistency check failed" in str(error)


def status(error: Exception) -> int:
    """Returns the HTTP status of the response, or 0 if there was no response."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else 0


def retry_after(error: Exception) -> int:
    """Returns the seconds that the hub asks to wait; 60 if it names no number of seconds."""
    assert isinstance(error, HfHubHTTPError), "only an answer asks to wait"
    asked = error.response.headers.get("Retry-After", "")
    return int(asked) if asked.isdecimal() else 60


def explain(error: Exception, repository: str) -> str:
    """Returns one sentence on what happened and what to do."""
    token = f"a token of {ENDPOINT}/settings/tokens in HF_TOKEN"
    code = status(error)
    match error:
        case GatedRepoError():
            return (
                f"{repository} is gated: accept its terms at {ENDPOINT}/{repository}, and put "
                f"{token}"
            )
        case RemoteEntryNotFoundError():
            return f"{repository} has lost the file that it lists: run the same command again"
        case RepositoryNotFoundError():
            return (
                f"{ENDPOINT} has no model {repository}, or it is private: check the name, and put "
                f"{token} if it is private"
            )
        case HFValidationError():
            return f"{repository!r} is no name of a repository, expected OWNER/NAME"
        case OfflineModeIsEnabled():
            return (
                f"{repository} is not in the cache, {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE "
                "forbids to fetch it: unset that, or set HF_HOME to where it was fetched"
            )
    match code:
        case 401:
            return f"{ENDPOINT} refuses the token (401): put {token}, or unset it for public models"
        case 403:
            return f"{ENDPOINT} denies access to {repository} (403): its terms at " + (
                f"{ENDPOINT}/{repository} may have to be accepted; put {token}"
            )
        case 429:
            return (
                f"{ENDPOINT} limits the number of requests (429): run the same command again in "
                f"{retry_after(error)} s; with {token} the limit is higher"
            )
    if code >= 500:
        return f"{ENDPOINT} has trouble of its own ({code}): run the same command again later"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return (
            f"cannot reach {ENDPOINT} ({first_line(error)}): check the network and the proxy "
            "(HTTPS_PROXY), name a mirror in HF_ENDPOINT, or fetch on another machine and bring "
            "its HF_HOME along"
        )
    if isinstance(error, httpx.TransportError):
        return (
            f"the connection to {ENDPOINT} breaks off again and again ({first_line(error)}): run "
            "the same command again, it goes on where this one stopped"
        )
    return f"{repository} cannot be fetched: {first_line(error)}"


def first_line(error: Exception) -> str:
    """Returns the first line of the error's message, or its type if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def print_progress(message: str) -> None:
    """Prints progress on stderr: stdout carries the path alone."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
