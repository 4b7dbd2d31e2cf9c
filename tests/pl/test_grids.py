from __future__ import annotations

import pytest

import adverscarial as adv
from adverscarial.errors import ParameterError


@pytest.mark.parametrize("draw", [adv.pl.impact, adv.pl.vulnerability])
def test_bad_requests_are_refused_in_words(survey, pbmc_small, draw):
    with pytest.raises(ParameterError, match="'single' or 'max'"):
        draw(survey, kind="both")
    with pytest.raises(ParameterError, match="Did you mean 'scType'"):
        draw(survey, classifier="sctype")
    model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc1")
    only = adv.survey(pbmc_small, model, attacks=attack, groupby="cell_type", targets=["CD19+ B"])
    with pytest.raises(ParameterError, match="draws MaxChange attacks, and the survey has none"):
        draw(only, kind="max")
