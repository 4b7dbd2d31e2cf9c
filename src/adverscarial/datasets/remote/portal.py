"""CELLxGENE Discover: from an id or an address to the file that the portal offers."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from adverscarial.datasets.remote.transfer import NotThere, read_json
from adverscarial.errors import DataError, ParameterError, did_you_mean

#: environment variable that names another portal with the same answers, such as a mirror
PORTAL = "ADVERSCARIAL_CELLXGENE"
_API = "https://api.cellxgene.cziscience.com/curation/v1"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: the paper's data sets, by the ids in the addresses of the explorer that it names
PAPER_IDS = {
    "axilla10k": "12c868c6-94df-48b5-acf2-b82f6aa14074",
    "liver10k": "cd6398a9-c0af-4467-9091-c536866535bd",
    "kidney10k": "08073b32-d389-41f4-a4fd-616de76915ab",
}


class Offer(NamedTuple):
    """A file of the portal: its data set and version, title, address, and size in bytes (None where not told)."""

    dataset_id: str
    version_id: str
    title: str
    url: str
    size: int | None


def id_of(dataset: str) -> str:
    """Return the id in an id, an address of the explorer or the portal, or one of the paper's names.

    >>> id_of("https://cellxgene.cziscience.com/e/cd6398a9-c0af-4467-9091-c536866535bd.cxg/")
    'cd6398a9-c0af-4467-9091-c536866535bd'

    Raises
    ------
    ParameterError
        If there is none in it.
    """
    text = str(dataset).strip().lower()
    if text in PAPER_IDS:
        return PAPER_IDS[text]
    found = _ID.findall(text)
    if not found:
        raise ParameterError(
            f"'{dataset}' holds no id of CELLxGENE, such as {PAPER_IDS['liver10k']}."
            f"{did_you_mean(text, list(PAPER_IDS))} Expected an id, an address of its explorer, or one of "
            f"{', '.join(PAPER_IDS)}."
        )
    return str(found[-1])


def offer_of(wanted: str) -> Offer:
    """Return what the portal offers under an id: of a data set, of a version, or in an address of the explorer.

    Raises
    ------
    DataError
        If the portal cannot be reached, has no such data set (any more), or offers no .h5ad of it.
    """
    api = os.environ.get(PORTAL, _API).rstrip("/")
    try:
        versions = _rows(read_json(f"{api}/datasets/{wanted}/versions"), f"{api}/datasets/{wanted}/versions")
    except NotThere:
        versions = []
    if versions:  # the newest comes first
        return _offer(next((row for row in versions if row.get("dataset_version_id") == wanted), versions[0]), wanted)
    for row in _rows(read_json(f"{api}/datasets"), f"{api}/datasets"):
        named = (row.get("dataset_id"), row.get("dataset_version_id"))
        if wanted in named or wanted in str(row.get("explorer_url", "")):
            return _offer(row, wanted)
    raise NotThere(
        f"CELLxGENE has no data set '{wanted}', or no longer: data sets are withdrawn, and get new ids. Look for it on "
        "https://cellxgene.cziscience.com/datasets by its title, and name its new id."
    )


def _rows(answer: Any, url: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list) or not all(isinstance(row, dict) for row in answer):
        raise DataError(f"'{url}' answers a {type(answer).__name__}, expected a list of data sets. Try again later.")
    return answer


def _offer(row: dict[str, Any], wanted: str) -> Offer:
    files = [asset for asset in row.get("assets") or [] if str(asset.get("filetype", "")).upper() == "H5AD"]
    if not files or not files[0].get("url"):
        raise DataError(f"CELLxGENE offers no .h5ad file of the data set '{wanted}'. Choose another one.")
    size = files[0].get("filesize")
    ids = [str(row.get("dataset_id", wanted)), str(row.get("dataset_version_id", ""))]
    if strange := [one for one in ids if one and not _ID.fullmatch(one)]:
        raise DataError(f"CELLxGENE answers the id {strange[0]!r}, which is none. Nothing was fetched.")
    return Offer(
        ids[0], ids[1], str(row.get("title", "")),
        str(files[0]["url"]), int(size) if size else None,
    )  # fmt: skip
