"""Texts that several docstrings share, most of them about parameters: each is written here, once.

A docstring names such a text where it belongs, as ``%(adata)s`` on a line of its own, and :func:`documented` puts the
text there, so that ``help()`` and the documentation show it. A text is one entry of a numpy docstring or several: the
name of a parameter, and below it what is said of it; or the lines that several examples begin with.
"""

from __future__ import annotations

import re
from textwrap import indent
from typing import TypeVar

T = TypeVar("T")

#: in brackets what stands in a docstring, below it the text
_BLOCKS = """
[adata]
adata
    Cells x genes, or a MuData; not changed.
[adata_attacked]
adata
    The data that was attacked, as it was given to the attack; not changed.
[adata_and_asked]
%(adata_attacked)s
classifier
    The classifier that was attacked; another one, to see how far the attack carries over to it.
[attacked_and_drawn]
adata
    The data that was attacked; not changed. The layer is the result's: log-normalised values or z-scores are used
    as they are, counts are normalised and logarithms taken.
result
    What an attack returned; a :class:`~adverscarial.attacks.SingleGene` draws its strongest flip.
gene
    Of a :class:`~adverscarial.attacks.SingleGene`: draw this gene's change instead, whether it flips or not.
[annotated]
adata
    The cells that were attacked. Columns are added, of ``raw`` to ``raw.var``; the values stay as they are.
[attack_errors_and_example]
Raises
------
DataError, ParameterError, ClassifierError

Examples
--------
>>> import adverscarial as adv
[ax]
ax
    Where to draw; a new figure of one journal column (89 mm), when left out.
[change_type]
change_type
    ``"named"`` counts only flips to a real cell type, not to "unknown" and its like.
[towards]
towards
    Only a flip to this label counts, or to one of these, where several are named. Left out: to any other label.
[classifier]
classifier
    A classifier, or anything that :func:`adverscarial.classifiers.wrap` understands.
[adata_and_classifier]
%(adata)s
%(classifier)s
[classifier_and_cluster]
%(adata_and_classifier)s
%(groupby)s
%(values)s
[classifiers]
classifiers
    One classifier or several, or a dict of name -> classifier; anything that
    :func:`adverscarial.classifiers.wrap` understands.
[curve_example]
Examples
--------
>>> import adverscarial as adv
>>> model = adv.classifiers.Markers({"B": ["CD79A", "MS4A1"], "T": ["CD3D", "CD3E"]})
>>> found = adv.robustness_curve(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
...                              genes=["CD79A", "CD3D"], modification="perc1")
[curves]
curves
    What :func:`adverscarial.robustness_curve` or :func:`adverscarial.curve_along` returned; several as a list, or
    by the name that the legend shall show.
[curve_errors_and_example]
Raises
------
ClassifierError
    If a classifier gives labels only, or refused the step.
ParameterError
    If there is no such step.

%(curve_example)s
[epsilon]
epsilon
    Largest change, in the units of the data: of each value (linf), or of each cell's Euclidean distance (l2).
[cells_example]
Examples
--------
>>> import adverscarial as adv
>>> cells = adv.datasets.embedded()
[expression_tests]
types
    Which cluster is meant by which label, for a classifier with names of its own: ``{"CD8 T cell": "CD8 T"}``.
%(values)s
layer
    Layer that holds log-normalised values; ``X`` when left out.
alpha
    Adjusted p-values below it are called significant.
[data_errors_and_example]
Raises
------
DataError, ParameterError

Examples
--------
[errors_of_text]
Raises
------
ParameterError
    If the string means nothing.
[example]
Examples
--------
>>> import adverscarial as adv
>>> cells, model = adv.datasets.embedded(), adv.classifiers.ScType(scaled=False)
[execution]
seed, say, progress
    Seed of every random draw, 0 when left out; a function that is called with one line of text per step; progress bars,
    which are shown on a terminal only when left out.
[genes_attacked]
genes, exclude
    Attack only these genes, or all but these.
[genes_combined]
genes
    Names of the genes to combine; their order does not matter.
modifications
    What can be done to a gene: short strings such as ``"perc99"``, or objects.
[cells_with_fragility]
adata
    Cells to which :func:`adverscarial.fragility` has written its columns.
[cluster]
cluster
    The cluster under attack.
[copy]
copy
    Return a copy with the columns, and leave `adata` as it is.
[gradient]
X
    Cells x :attr:`genes`.
weights
    Shape (cells, classes).
[groupby]
groupby, target
    Column of ``adata.obs``, and the cluster in it.
[groupby_types]
groupby
    Column of ``adata.obs`` that holds the cell types.
[key_added]
key_added
    Start of the names of the new columns, and the key in ``uns``.
[layer_attacked]
layer
    Layer to attack; ``X`` when left out.
[layer_read]
layer
    Layer to read; ``X`` when left out.
[layer_trained]
layer
    Layer to train on; ``X`` when left out.
[link]
link
    Turns sums into the scores that the classifier reports; must not change their order within a cell.
[mask_var]
mask_var
    Attack only these genes, as in scanpy: a column of ``adata.var`` that is True or False, or one bool per gene. The
    classifier still sees all genes.
[modification]
modification
    What is done to the genes: a short string such as ``"perc99"``, or a :class:`Modification`.
[no_certificate]
ClassifierError
    If the classifier is no weighted sum of genes, no ensemble of trees and no dense network with ReLU.
DataError
    If the classifier gives these cells another label than when they were attacked.
[no_such_attack]
ParameterError
    If the survey had no such attack, or no such classifier.
[progress]
progress
    Progress bar; left out, on a terminal only.
[progress_trained]
progress
    Show a progress bar while training; None shows it on a terminal only.
[rank]
rank
    Alphabetical place of each label, which decides ties of votes, shape (labels,).
[setting]
setting
    Cells and classifiers, of :func:`~adverscarial.reproduce.setting`.
[setting_scored]
setting
    Cells and classifiers, of :func:`~adverscarial.reproduce.setting`. CHETAH gives no scores and takes no part.
[statistics]
statistics
    Statistics of the same layer, when they are at hand already.
[step]
step
    Where on the curves' axis "after" is: the last step that the classifier did not refuse, when left out.
[survey]
survey
    What :func:`adverscarial.survey` returned.
[survey_counted]
%(survey)s
kind
    ``"single"``: how many genes flip the label alone. ``"max"``: how many genes must stay (the signature) while all
    others are rewritten at once. Or the name of another attack that counts something, such as ``"min-change"``.
classifier
    Draw this one only; all of them, when left out.
ax
    Where to draw; a new figure of one journal column (89 mm), or wider where there is more to show, when left out.
[survey_example]
Examples
--------
>>> import adverscarial as adv
>>> model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc99")
>>> found = adv.survey(adv.datasets.embedded(), model, attacks=attack, groupby="cell_type", targets=["Dendritic"])
[stress_example]
Examples
--------
>>> import adverscarial as adv
>>> model = adv.classifiers.ScType(scaled=False)
>>> found = adv.stress(adv.datasets.embedded(), model, groupby="cell_type", targets=["Dendritic"], changes="depth",
...                    strengths=[0.5, 0.9], draws=2)
[stress_result]
result
    What :func:`adverscarial.stress` returned.
[values]
mod, use_raw
    Of a MuData: the modality, ``rna`` when left out. And whether to take the values and the genes of ``raw``, as in
    scanpy; not with `layer`.
[modality]
mod
    Of a MuData: the modality, ``rna`` when left out.
[sweep]
table
    What :func:`adverscarial.sweep` returned; those of several classifiers below each other (:func:`pandas.concat`).
kind
    Draw ``"alpha"`` alone, ``"epsilon"`` alone, or ``"both"`` equal; all that there are, when left out.
ax
    Where to draw; a new figure of one journal column (89 mm), when left out.
[sweep_errors_and_example]
Raises
------
ParameterError
    If the table is of something else, or has no such kind.

Examples
--------
>>> import adverscarial as adv
>>> model = adv.classifiers.ScType(scaled=False)
>>> table = adv.sweep(adv.datasets.embedded(), model, groupby="cell_type", target="CD19+ B",
...                   genes=["CD79A", "CD79B", "MS4A1"], strengths=[0.5, 2], kinds=["both"])
"""
_TEXTS = {
    key: text.rstrip() for key, text in re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", _BLOCKS, re.MULTILINE | re.DOTALL)
}
_PLACE = re.compile(r"^( *)%\((\w+)\)s$", re.MULTILINE)


def documented(thing: T) -> T:
    """Return a class or function with the shared texts in its docstring; without docstrings (``-OO``), as it is.

    Raises
    ------
    KeyError
        If there is no such text; so a slip is seen when the module is imported.
    """
    if doc := thing.__doc__:
        thing.__doc__ = _filled(doc)
    return thing


def documented_own(thing: T) -> T:
    """Return a class or function of this package with the shared texts; what another package defines, as it is."""
    package = str(getattr(thing, "__module__", "")).partition(".")[0]
    return documented(thing) if package == __name__.partition(".")[0] else thing


def _filled(text: str) -> str:
    """Return a text with those that it names, which may name others."""
    return _PLACE.sub(lambda place: indent(_filled(_TEXTS[place[2]]), place[1]), text)
