"""Scorers that are wrong, and what the check says of them."""

import numpy as np

from adverscarial.cells.cluster import Cluster
from adverscarial.classifiers.answers import Answer, Answers, Decision
from adverscarial.classifiers.scorers.base import Scorer
from adverscarial.classifiers.scorers.general import GeneralScorer
from adverscarial.errors import InputRejected
from classifiers.test_check import Sound, ToldScorer, failed, with_scorer


def test_a_baseline_that_is_not_so() -> None:
    class Wrong(ToldScorer):
        @property
        def baseline(self) -> Answer:
            good = self.inner.baseline
            return Answer(good.label, good.share - 0.01, good.labels, good.scores)

    assert "scorer: baseline" in failed(with_scorer(Wrong))


def test_each_that_ignores_the_query() -> None:
    class Deaf(ToldScorer):
        def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
            base, n = self.baseline, len(genes)
            return Answers(np.full(n, base.label), np.full(n, base.share), np.zeros(n, dtype=bool))

    class Fewer(ToldScorer):
        def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
            return self.inner.each(genes[1:], values[:, 1:])

    class Piling(ToldScorer):
        """Changes the genes one upon the other."""

        def each(self, genes: np.ndarray, values: np.ndarray) -> Answers:
            fork, answers = self.inner.fork(), []
            for k in range(len(genes)):
                answers.append(fork.each(genes[[k]], values[:, [k]]))
                fork.accept(genes[[k]], values[:, [k]])
            return Answers(*(np.concatenate([getattr(a, part) for a in answers]) for part in Answers.__annotations__))

    for kind in (Deaf, Fewer, Piling):
        assert failed(with_scorer(kind)) == {"scorer: each"}


def test_together_that_forgets_a_gene() -> None:
    class Forgetful(ToldScorer):
        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            return self.inner.together(genes[1:], values[:, 1:])

    class Rough(ToldScorer):
        """Labels are right, scores are a little off."""

        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            good = self.inner.together(genes, values)
            return Answer(good.label, good.share, good.labels, good.scores * (1 + 1e-5))

    assert "scorer: together" in failed(with_scorer(Forgetful))
    assert "scorer: together" in failed(with_scorer(Rough))


def test_queries_that_leave_traces() -> None:
    class Sticky(ToldScorer):
        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            self.inner.accept(genes, values)
            return self.inner.baseline

    assert "scorer: together" in failed(with_scorer(Sticky))


def test_accept_that_does_not_last() -> None:
    class Lazy(ToldScorer):
        def accept(self, genes: np.ndarray, values: np.ndarray) -> None:
            self.inner.accept(genes[:0], values[:, :0])

    class Half(ToldScorer):
        """The baseline follows, later queries start from the unmodified cluster."""

        def __init__(self, inner: Scorer) -> None:
            super().__init__(inner)
            self.start = inner.fork()

        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            return self.start.together(genes, values)

        def fork(self) -> "Half":
            other = super().fork()
            other.start = self.start
            return other

    assert {"scorer: accept", "scorer: fork"} == failed(with_scorer(Lazy))
    assert failed(with_scorer(Half)) == {"scorer: accept"}


def test_a_fork_that_is_the_same_scorer() -> None:
    class Same(ToldScorer):
        def fork(self) -> "Same":
            return self

    assert failed(with_scorer(Same)) == {"scorer: fork"}


def test_reads_that_is_not_so() -> None:
    class Denies(ToldScorer):
        def reads(self, genes: np.ndarray) -> np.ndarray:
            return self.inner.reads(genes) & (genes != 5)

    class Numbers(ToldScorer):
        def reads(self, genes: np.ndarray) -> np.ndarray:
            return self.inner.reads(genes).astype(np.int64)

    assert failed(with_scorer(Denies)) == {"scorer: reads"}
    assert "scorer: reads" in failed(with_scorer(Numbers))


def test_refusals_that_the_scorer_does_not_make() -> None:
    class Picky(Sound):
        def decide(self, X: np.ndarray) -> Decision:
            if X.max() > 100:
                raise InputRejected("too large")
            return super().decide(X)

    class Lenient(Picky):
        def scorer(self, cluster: Cluster) -> Scorer:
            return GeneralScorer(Sound(), cluster)

    class Refuses(ToldScorer):
        def together(self, genes: np.ndarray, values: np.ndarray) -> Answer:
            return Answer("", 0.0, rejected=True)

    assert failed(Picky()) == set()
    assert {"scorer: each", "scorer: together"} <= failed(Lenient())
    assert "scorer: together" in failed(with_scorer(Refuses))
