"""A data set of CELLxGENE Discover, fetched once and arranged as the other data sets here are."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from anndata import AnnData

from adverscarial import _store
from adverscarial._docs import documented
from adverscarial.datasets.cellxgene_layout import arranged
from adverscarial.datasets.examples import FOLDER
from adverscarial.datasets.files import load
from adverscarial.datasets.quality import limits_of, quality_control
from adverscarial.datasets.remote.portal import PAPER_IDS, id_of, offer_of
from adverscarial.datasets.remote.transfer import NotThere, download, sha256
from adverscarial.errors import DataError, StorageError

logger = logging.getLogger(__name__)


@documented
def cellxgene(
    dataset: str,
    *,
    preset: str | None = None,
    refresh: bool = False,
    sha256: str | None = None,
    progress: bool | None = None,
) -> AnnData:
    """Return a data set of CELLxGENE Discover: fetched once, then from the disk.

    Parameters
    ----------
    dataset
        An id, an address of the explorer, or the name of one of the paper's data sets: ``"axilla10k"``, ``"liver10k"``,
        ``"kidney10k"``.
    preset
        Leave cells out as the paper does, see :func:`quality_control`; that of the name, where `dataset` is one.
    refresh
        Ask the portal again whether there is a newer version.
    sha256
        What the file's SHA-256 must be; it is in ``uns`` of what you had before.
    %(progress)s

    Returns
    -------
    AnnData: ``X`` holds the counts, ``layers["normalized"]`` what the portal's ``X`` holds if that is something else;
    ``var_names`` are symbols, ``var["gene_id"]`` Ensembl ids; ``obs["cell_type"]`` and the other columns are the
    portal's. ``uns["cellxgene"]`` says which version it is.

    Raises
    ------
    DataError
        If it cannot be had; a transfer that was cut goes on at the next call.
    ParameterError
        If `dataset` holds no id, or there is no such preset.

    Notes
    -----
    Files lie in the folder ``cellxgene`` of ``scanpy.settings.datasetdir``. Where there is no network, put a file named
    after the id (or ``liver10k.h5ad``) into a folder, and name this folder in the environment variable
    ``ADVERSCARIAL_DATA``.

    Examples
    --------
    >>> import adverscarial as adv
    >>> liver = adv.datasets.cellxgene("liver10k")  # doctest: +SKIP
    """
    name = str(dataset).strip().lower()
    chosen = preset if preset is not None else name if name in PAPER_IDS else None
    if chosen is not None:
        limits_of(chosen)
    wanted = id_of(dataset)
    path, told = _local(name, wanted) or _cached(wanted, refresh, progress)
    if sha256 is not None and told["sha256"] != sha256.lower():
        raise DataError(
            f"'{path}' has the SHA-256 {told['sha256']}, expected {sha256}. It is another version of the data set, or "
            "damaged: fetch it anew with refresh=True, or correct sha256."
        )
    adata = arranged(load(path, arrange=False))
    adata.uns["cellxgene"] = told
    return adata if chosen is None else quality_control(adata, chosen)


def _local(name: str, wanted: str) -> tuple[Path, dict[str, Any]] | None:
    """Return a file that somebody put there; None without one."""
    folder = os.environ.get(FOLDER)
    for stem in dict.fromkeys((name if name in PAPER_IDS else wanted, wanted)) if folder else ():
        path = Path(str(folder)) / f"{stem}.h5ad"
        if path.is_file():
            return path, {"id": wanted, "file": path.name, "sha256": sha256(path)}
    return None


def _cached(wanted: str, refresh: bool, progress: bool | None) -> tuple[Path, dict[str, Any]]:
    """Return the file in the cache, fetched if need be."""
    import scanpy as sc

    folder = Path(sc.settings.datasetdir) / "cellxgene"
    notes = folder / f"{wanted}.json"
    if not refresh and (known := _known(folder, notes)) is not None:
        return known
    try:
        offer = offer_of(wanted)
        path = folder / f"{offer.version_id or offer.dataset_id}.h5ad"
        logger.info("Fetching '%s' from CELLxGENE into '%s'.", offer.title, path)
        digest = download(offer.url, path, size=offer.size, progress=progress)
    except NotThere:
        raise
    except DataError as error:
        raise DataError(
            f"The data set {wanted} of CELLxGENE is not at hand: {error} Without a network: fetch the .h5ad on another "
            f"machine (https://cellxgene.cziscience.com/e/{wanted}.cxg/), put it as '{wanted}.h5ad' into a folder, and "
            f"name the folder in the environment variable {FOLDER}."
        ) from error
    told = {
        "id": wanted, "dataset_id": offer.dataset_id, "dataset_version_id": offer.version_id, "title": offer.title,
        "url": offer.url, "file": path.name, "sha256": digest,
    }  # fmt: skip
    _store.write_json(notes, told)
    return path, told


def _known(folder: Path, notes: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the file that was fetched before, if it is still what it was."""
    if not notes.exists():
        return None
    try:
        told = _store.read_json(notes)
        path = folder / Path(told["file"]).name
        if path.is_file() and sha256(path) == told["sha256"]:
            return path, told
    except (StorageError, KeyError, TypeError):
        pass
    logger.warning("What '%s' tells of is not there as it was; it is fetched again.", notes)
    return None
