"""Models of the hub: `hf://owner/name@revision`, fetched by huggingface_hub into its cache.

Only three files are fetched, by their exact names, after their sizes are known; weights must have
the sha256 that the hub states. Nothing that is fetched is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge import errors, files
from ganforge._version import __version__
from ganforge.errors import DataError, UsageError, one_line
from ganforge.runs.model import CARD, CONFIG, WEIGHTS

SCHEME = "hf://"
LARGEST = {CONFIG: 2**20, CARD: 2**20, WEIGHTS: 2**31}  # bytes of what is fetched
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
ADDRESS = re.compile(rf"{SCHEME}({NAME}/{NAME})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?")
REPO = re.compile(rf"{NAME}/{NAME}")
LIBRARY: dict[str, Any] = {"library_name": "ganforge", "library_version": __version__}


@dataclass(frozen=True)
class Hub:
    """Where models are fetched from: None for what the environment says (HF_ENDPOINT, HF_HOME)."""

    endpoint: str | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Address:
    """A model of the hub, at a revision: a branch, a tag or a commit; None for the newest."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> Address:
    """An address, with or without hf://.

    Raises:
        UsageError: it has another form.
    """
    found = ADDRESS.fullmatch(text if text.startswith(SCHEME) else SCHEME + text)
    if found is None or ".." in text:
        raise UsageError(f"{text}: expected hf://owner/name or hf://owner/name@revision")
    return Address(found[1], found[2])


def require_extra() -> None:
    """UsageError if the package of the extra is not installed."""
    errors.require_extra("a model of the hub", "hub", "huggingface_hub")


def pull(address: Address, hub: Hub | None = None) -> Path:
    """The model folder of an address, in the cache; nothing is fetched that is there.

    Without a network, or with HF_HUB_OFFLINE=1, the folder that was fetched last is used.

    Raises:
        UsageError: the extra is not installed.
        DataError: no such model, no right to read it, no answer, a file that is too large,
            damaged or missing, or a model of another library.
    """
    require_extra()
    from huggingface_hub import HfApi, constants, snapshot_download

    hub = hub or Hub()
    where: dict[str, Any] = {"endpoint": hub.endpoint, "cache_dir": hub.cache, **LIBRARY}
    stated: dict[str, str] = {}
    with explained(address):
        offline = constants.HF_HUB_OFFLINE
        if not offline:
            api = HfApi(endpoint=hub.endpoint, **LIBRARY)
            info = api.model_info(address.repo, revision=address.revision, files_metadata=True)
            stated = require_model(address, info.siblings or [])
        folder = Path(
            snapshot_download(
                address.repo,
                revision=address.revision,
                allow_patterns=list(LARGEST),
                local_files_only=offline,
                **where,
            )
        )
    require_whole(address, folder, stated)
    return folder


def require_model(address: Address, siblings: list[Any]) -> dict[str, str]:
    """The sha256 of files as the hub states them; DataError for a file missing or too large."""
    found = {file.rfilename: file for file in siblings}
    for name in (CONFIG, WEIGHTS):
        if name not in found:
            raise DataError(f"{address}: no model of ganforge, it has no {name}")
    for name, most in LARGEST.items():
        size = found[name].size if name in found else 0
        if size is None or size > most:
            raise DataError(f"{address}: {name} has {size or 0:,} bytes, more than {most:,}")
    lfs = {name: found[name].lfs for name in LARGEST if name in found and found[name].lfs}
    return {name: str(entry.sha256) for name, entry in lfs.items()}


def require_whole(address: Address, folder: Path, stated: dict[str, str]) -> None:
    """DataError for files that are not what the hub states, which are removed from the cache, or
    whose config.json is another library's."""
    for name, digest in stated.items():
        if files.file_digest(folder / name) != digest:
            (folder / name).resolve().unlink()
            (folder / name).unlink()
            raise DataError(f"{address}: {name} has another sha256 than the hub states: try again")
    for name, most in LARGEST.items():
        if (folder / name).exists() and (folder / name).stat().st_size > most:
            raise DataError(f"{address}: {name} has more than {most:,} bytes")
    try:
        table = json.loads(files.read_file(folder / CONFIG))
        ours = table["library"] == "ganforge"
    except (ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise DataError(f"{address}: its {CONFIG} is not one of ganforge's")


@contextmanager
def explained(address: Address) -> Iterator[None]:
    """Turns what huggingface_hub raises into a DataError of one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise DataError(f"{address}: ask for access on its page, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise DataError(f"{address}: no such model, or it is private: set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{address}: the model has no such revision") from None
    except errors.LocalEntryNotFoundError:
        raise DataError(f"{address}: not in the cache, and there is no answer") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        remedy = {401: "set HF_TOKEN", 403: "set HF_TOKEN, with the right for this"}.get(status)
        detail = remedy or "try again later"
        raise DataError(f"{address}: the hub answered {status}: {detail}") from None
    except errors.HFValidationError as error:
        raise UsageError(f"{address}: {one_line(error)}") from None
    except OSError as error:
        raise DataError(f"{address}: {one_line(error)}: try again") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore2"):
            raise
        raise DataError(f"{address}: no answer ({one_line(error)}): try again") from None
