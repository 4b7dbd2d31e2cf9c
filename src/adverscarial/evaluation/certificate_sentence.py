"""What a certificate claims, in one sentence that says all that the claim depends on."""

from __future__ import annotations

from adverscarial.evaluation.certificate_file import Claim, Content, ModelContent, is_of_a_function, labels_claimed
from adverscarial.evaluation.certificate_votes import goals_of


def sentence(content: Content | ModelContent, classifier: str | None) -> str:
    """Return the claim of a certificate.

    Parameters
    ----------
    content
        The certificate.
    classifier
        Name of the classifier that was compared; None where none was.
    """
    claim, n_genes, n = content.claim, len(content.genes), content.claim["lower"]
    where = f"cluster '{claim['target']}' of '{claim['groupby']}'"
    where += f", layer '{claim['layer']}'" if claim["layer"] is not None else ""
    change = claim["modification"] + (f" with seed {claim['seed']}" if claim["seed"] else "")
    which = f" of the {n_genes:,} genes attacked" if claim["some_genes"] else ""
    sets = "set" if claim["impossible"] else f"set of fewer than {n:,} {'gene' if n == 1 else 'genes'}"
    return (
        f"{classifier or claim['classifier']}, {where}, called {claim['label']}, {change}: "
        f"no {sets}{which} flips the label{_aim(claim, content.labels)}{_only_for(content, classifier)}."
    )


def _aim(claim: Claim, labels: list[str]) -> str:
    if wanted := labels_claimed(claim["towards"]):
        counting = [labels[goal] for goal in goals_of(claim, labels)]
        return f" to {' or '.join(label for label in wanted if label in counting or not counting)}"
    return " to a named type" if claim["change_type"] == "named" else ""


def _only_for(content: Content | ModelContent, classifier: str | None) -> str:
    """Return what the claim is confined to, since it could not be made again from the cells and the classifier."""
    if isinstance(content, Content) and (classifier is None or content.model is None):
        return ", for the numbers in the certificate only"
    return ", for the genes and new values in the certificate only" if is_of_a_function(content.claim) else ""
