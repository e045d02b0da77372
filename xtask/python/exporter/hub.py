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

# The hub's chunked storage has a client of its own, which starts an interrupted file afresh. Plain
# HTTP goes on where it stopped, and through mirrors; set this to 0 for the other.
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
# The hub's windows for counting requests last 5 minutes; nobody waits longer at a terminal.
LONGEST_WAIT_S = 300
LISTING_TIMEOUT_S = 30
SHA256 = re.compile(r"[0-9a-f]{64}")
ENDPOINT = constants.ENDPOINT


def main() -> int:
    """Prints the checkpoint's path; exit code 1 with one sentence on stderr, 130 if stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", metavar="OWNER/NAME", help="a repository of the hub")
    # The client logs every attempt with addresses; what it gives up on is said here, once.
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
    """The path of the repository's checkpoint in the client's cache, whole and checked.

    Raises `ExportError` with one sentence that says what to do.
    """
    path = download(repository)
    verify(path, repository)
    return path


def download(repository: str) -> Path:
    """Transfers the checkpoint unless the cache holds it; waits and goes on where that can help."""
    restart = False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            name = checkpoint_name(repository)
            say(f"fetching {name} of {repository} from {ENDPOINT}")
            return Path(hf_hub_download(repository, name, force_download=restart))
        except (HfHubHTTPError, httpx.HTTPError, HFValidationError, OSError) as error:
            reason = cause(error)
            wait = seconds_to_wait(reason, attempt)
            if wait is None or attempt == ATTEMPTS:
                raise ExportError(explain(reason, repository)) from error
            # What was written so far does not belong to this file: go on from nothing.
            restart = is_misfit(reason)
            say(f"{short(reason)}; going on in {wait} s (attempt {attempt} of {ATTEMPTS})")
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def checkpoint_name(repository: str) -> str:
    """The repository's one .nemo file, or the one named like the repository."""
    names = [name for name in file_names(repository) if name.endswith(".nemo")]
    own = f"{repository.split('/')[-1]}.nemo"
    if own in names:
        return own
    if len(names) == 1:
        return names[0]
    found = f"{len(names)} of them: {', '.join(sorted(names))}" if names else "none"
    raise ExportError(f"{repository} should hold one .nemo file, but has {found}")


def file_names(repository: str) -> list[str]:
    """The files that the hub lists; those of the cache where the hub cannot be asked."""
    try:
        files = HfApi().model_info(repository, timeout=LISTING_TIMEOUT_S).siblings
        return [file.rfilename for file in files or []]
    except (OfflineModeIsEnabled, httpx.ConnectError, httpx.ConnectTimeout) as error:
        try:
            folder = Path(snapshot_download(repository, local_files_only=True))
        except LocalEntryNotFoundError:
            raise error from None
        say(f"{ENDPOINT} is not asked or does not answer: looking in the cache, {folder}")
        return [str(path.relative_to(folder)) for path in folder.rglob("*.nemo")]


def verify(path: Path, repository: str) -> None:
    """Compares the file with the digest that the hub stated for it; removes it if they differ.

    The client names what it stores by the hub's etag, which for large files is their SHA-256.
    """
    stored = path.resolve()
    stated = stored.name
    if not SHA256.fullmatch(stated):
        raise ExportError(
            f"{path} cannot be checked: the hub states no SHA-256 for {path.name} of {repository}, "
            "or HF_HOME lies on a file system without symbolic links; download the file yourself, "
            "compare it with its page on the hub, and export it by its path"
        )
    say(f"checking {path.name}, {stored.stat().st_size / 1e9:.2f} GB")
    found = sha256(stored)
    if found != stated:
        path.unlink()
        stored.unlink()
        raise ExportError(
            f"{path.name} of {repository} arrived damaged: its SHA-256 is {found}, the hub states "
            f"{stated}; it was removed, run the same command again (and check the mirror or proxy "
            "in between if this repeats)"
        )
    say(f"SHA-256 {stated}, as the hub states")


def cause(error: Exception) -> Exception:
    """What the client hides behind 'not in the cache' when its first question fails."""
    hidden = error.__cause__
    if isinstance(error, LocalEntryNotFoundError) and isinstance(hidden, Exception):
        return hidden
    return error


def seconds_to_wait(error: Exception, attempt: int) -> int | None:
    """How long to wait before another attempt; none where it would end the same way."""
    if status(error) == 429:
        wait = retry_after(error)
        return wait if wait <= LONGEST_WAIT_S else None
    if status(error) >= 500 or is_misfit(error):
        return 2**attempt
    # Nobody listens, or the name is unknown: that does not pass within a minute.
    broken = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)
    return 1 if broken else None


def is_misfit(error: Exception) -> bool:
    """Whether the size of what was written contradicts the hub, so that going on is no use."""
    return status(error) == 416 or "Consistency check failed" in str(error)


def status(error: Exception) -> int:
    """The HTTP status of an answer; 0 where there was none."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else 0


def retry_after(error: Exception) -> int:
    """The seconds that the hub asks to wait; a minute when it does not say, or says a date."""
    assert isinstance(error, HfHubHTTPError), "only an answer asks to wait"
    asked = error.response.headers.get("Retry-After", "")
    return int(asked) if asked.isdecimal() else 60


def explain(error: Exception, repository: str) -> str:
    """One sentence: what happened and what to do."""
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
            f"cannot reach {ENDPOINT} ({short(error)}): check the network and the proxy "
            "(HTTPS_PROXY), name a mirror in HF_ENDPOINT, or fetch on another machine and bring "
            "its HF_HOME along"
        )
    if isinstance(error, httpx.TransportError):
        return (
            f"the connection to {ENDPOINT} breaks off again and again ({short(error)}): run the "
            "same command again, it goes on where this one stopped"
        )
    return f"{repository} cannot be fetched: {short(error)}"


def short(error: Exception) -> str:
    """The first line of what an error says, or its kind when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def say(message: str) -> None:
    """Progress, on stderr: stdout carries the path alone."""
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
