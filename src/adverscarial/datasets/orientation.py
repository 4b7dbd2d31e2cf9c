"""Which side of a table holds the genes: told by names of genes, of cells, and by words in the header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

#: at least so much more of one side must look like genes; of all human genes, the families below are about a quarter
_PLAIN = 0.05
_LOOKED_AT = 4000  # names of one side

_PREFIX = r"(?:(?:GRCH\d+|HG\d+|GRCM\d+|MM\d+)_+)?"  # the genome, in mixed samples
#: ids of Ensembl, FlyBase, WormBase, TAIR and yeast
_IDS = r"ENS[A-Z]{0,6}[GT]\d+(?:\.\d+)?(?:_\w+)?|FBGN\d+|WBGENE\d+|AT[1-5CM]G\d{5}|Y[A-P][LR]\d{3}[WC](?:-[A-Z])?"
#: large families of symbols, and genes that most panels hold; mouse symbols differ in case only
_FAMILIES = (
    r"CD\d+[A-Z]*\d?|HLA-\w+|H2-\w+|MT-\w+|M?RP[LS]\d+\w*|RPL?P\d|IL\d+\w*|CX?3?C[LR]\d+\w*|CXC[LR]\d+|TNF\w*|KRT\d+\w?"
    r"|COL\d+A\d+|ZNF\d+\w*|ZFP\d+|SLC\d+[A-Z]+\d+|TMEM\d+\w?|FAM\d+\w+|LINC\d+|MIR\d+\w*|SNOR[AD]\d+\w*|A[CLP]\d{6}\.\d+"
    r"|RP\d+-\w+\.\d+|HIST\d\w+|OR\d+[A-Z]+\d+\w*|S100A\d+|GZM[A-Z]|FCGR\w+|IG[HKL][ACDEGJMV]\w*|TR[ABDG][CDJV]\w*|TLR\d+"
    r"|STAT\d[AB]?|IRF\d|IFI\w*\d+\w*|KLR\w\d\w*|MS4A\d+\w?|FCER\w+|UBE\d\w+|CCDC\d+\w?|PSM[A-G]\d+|NDUF\w+|ATP\d\w+|LRRC\d+"
    r"|EIF\d\w+|DDX\d+\w*|TUB[ABG]\w+|HSP\w+\d\w*|SERPIN\w+|MMP\d+|SOX\d+|FOX[A-R]\d+|HOX[A-D]\d+|GATA\d|WNT\d+\w*"
    r"|GM\d+|LOC\d+|\w{10,}RIK|G(?:ENE)?[-_ ]?\d+"
    r"|ACTA?[ABG]?\d?|GAPDH|B2M|MALAT1|NEAT1|XIST|NKG7|GNLY|LYZ|PTPRC|EPCAM|VIM|PRF1|CST[37]|TYROBP|LST1|AIF1|PPBP|PF4"
    r"|CTSS|FTL|FTH1|LEF1|CCR7|SELL|TCF7|JUNB?|FOSB?|EGFR|TP53|MYC|PECAM1|VWF|DCN|LUM|ALB|APOE|GFAP|SNAP25|INS|GCG"
    r"|SST|PPY|MKI67|TOP2A|HBA\d|HBB"
)
_GENE = re.compile(_PREFIX + rf"(?:{_IDS}|{_FAMILIES})(?:-\d)?", re.IGNORECASE)

_CELL = re.compile(
    r"(?:.*[\W_])?[ACGTN]{6,}(?:[-_.:+][ACGTN]{4,})*(?:[-_.:]\w{1,24})*"  # a barcode, perhaps with the sample's name
    r"|(?:.*[\W_])?(?:cells?|barcode|bc|well|spot|nucleus|sample|donor|patient|c)[\W_]?\d+"
    r"|(?:SRR|ERR|DRR|SRX|GSM)\d+\w*"
    r"|(?:.*[\W_])?[A-P](?:0\d|1\d|2[0-4])"  # a well of a plate
    r"|\d\d_\d\d_\d\d(?:__s\d+)?",  # Parse
    re.IGNORECASE,
)

_GENE_WORD = re.compile(
    r"(?:gene|feature)[\W_]?(?:s|id|ids|name|names|symbols?)?|(?:hgnc|mgi)?[\W_]?symbols?|ensembl\w*|accession"
    r"|description|chr\w*|strand",
    re.IGNORECASE,
)
_CELL_WORD = re.compile(
    r"cells?(?:[\W_]?\w+)?|barcodes?(?:[\W_]?\w+)?|bc_wells|wells?|batch|sample\w*|donor\w*|patient\w*|clusters?|labels?"
    r"|condition|tissue|celltypes?",
    re.IGNORECASE,
)


def is_gene_word(word: str) -> bool:
    """Return whether a header says that its column is about genes."""
    return bool(_GENE_WORD.fullmatch(word.strip()))


def is_cell_word(word: str) -> bool:
    """Return whether a header says that its column is about cells."""
    return bool(_CELL_WORD.fullmatch(word.strip()))


def rows_are_genes(rows: Sequence[str], columns: Sequence[str], headers: Iterable[str] = ()) -> bool | None:
    """Return whether the rows are genes and the columns cells; None where neither is plain.

    Parameters
    ----------
    rows, columns
        Names of both sides.
    headers
        What the header calls the rows, and other things that are known of each row.

    Examples
    --------
    >>> rows_are_genes(["CD3D", "MS4A1"], ["AAACCTGAGC-1", "AAACGGGTCA-1"])
    True
    >>> rows_are_genes(["a", "b"], ["x", "y"]) is None
    True
    """
    said = sum(is_gene_word(word) - is_cell_word(word) for word in headers)
    more = float(np.sign(said)) * 2 + _like_genes(rows) - _like_genes(columns)
    return None if abs(more) < _PLAIN else more > 0


def _like_genes(names: Sequence[str]) -> float:
    """Return the share of names that look like genes, less the share of those that look like cells."""
    if not len(names):
        return 0.0
    if _running(names):
        return -1.0
    sample = [names[i] for i in range(0, len(names), max(1, len(names) // _LOOKED_AT))]
    genes = sum(_GENE.fullmatch(name) is not None for name in sample)
    cells = sum(_CELL.fullmatch(name) is not None and _GENE.fullmatch(name) is None for name in sample)
    return (genes - cells) / len(sample)


def _running(names: Sequence[str]) -> bool:
    """Return whether the names are 0, 1, 2 ... or 1, 2, 3 ...: numbers of rows, as programs give them to cells."""
    return all(name.isdecimal() for name in names) and [int(name) for name in names] in (
        list(range(len(names))),
        list(range(1, len(names) + 1)),
    )


def unclear(path: object, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Return what to say where neither side is plain."""
    return (
        f"'{path}' has {len(rows):,} rows ({', '.join(map(repr, rows[:3]))}, ...) and {len(columns):,} columns "
        f"({', '.join(map(repr, columns[:3]))}, ...), and the names do not show which of them are cells and which are "
        "genes. Say it: load(path, transpose=False) if each row is a cell, load(path, transpose=True) if each row is a "
        "gene (command line: adverscarial convert IN OUT --no-transpose or --transpose)."
    )
