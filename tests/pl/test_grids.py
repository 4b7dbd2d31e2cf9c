from __future__ import annotations

import pytest

import adverscarial as adv
from adverscarial.errors import ParameterError


@pytest.mark.parametrize("draw", [adv.pl.impact, adv.pl.vulnerability])
def test_bad_requests_are_refused_in_words(survey, pbmc_small, draw):
    with pytest.raises(ParameterError, match=r"none that could be drawn\. This survey has: 'single', 'max'"):
        draw(survey, kind="both")
    with pytest.raises(ParameterError, match="Did you mean 'scType'"):
        draw(survey, classifier="sctype")
    model, attack = adv.classifiers.ScType(scaled=False), adv.attacks.SingleGene("perc1")
    only = adv.survey(pbmc_small, model, attacks=attack, groupby="cell_type", targets=["CD19+ B"])
    with pytest.raises(
        ParameterError,
        match=r"draws the attack 'max-change', and the survey has none.*This survey has: 'single', 'single-gene'",
    ):
        draw(only, kind="max")


@pytest.mark.fast(1)
@pytest.mark.parametrize("draw", [adv.pl.impact, adv.pl.vulnerability])
def test_a_grid_goes_by_the_name_of_its_attack(survey, draw):
    short, named = (draw(survey, kind=kind) for kind in ("max", "max-change"))
    assert [text.get_text() for text in short.texts] == [text.get_text() for text in named.texts]
    assert "Signature: genes that must not change" in named.get_title("left") + named.get_ylabel()
