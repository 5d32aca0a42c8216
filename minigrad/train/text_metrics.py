"""Figures of texts: how near translations and summaries come to what people wrote.

Gathered as those of metrics.py, but of lists. prediction: N sentences; target: N references, or for each sentence a
list of several. A sentence is a text, which the metric cuts into words, or a tuple of words as it is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from .metrics import Mean, Metric

Sentence: TypeAlias = str | tuple[str, ...]

ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}
RULES = (
    (r"([!-&(-+/:-@\[-`{-~])", r" \1 "),  # ASCII's signs are words, but not ' , - .
    (r"([^0-9])([.,])", r"\1 \2 "),  # a full stop or comma is one, but within a number
    (r"([.,])([^0-9])", r" \1 \2"),
    (r"([0-9])(-)", r"\1 \2 "),  # a dash is one behind a number
)


def words_13a(text: str) -> list[str]:
    """The words and signs of a text as mteval-v13a.pl, WMT's script, and sacrebleu's "13a" split it; the case stays.

    >>> words_13a('"Two dogs," 1,000.5 km-long.')
    ['"', 'Two', 'dogs', ',', '"', '1,000.5', 'km-long', '.']
    """
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for name, sign in ENTITIES.items():
        text = text.replace(name, sign)
    text = f" {text} "
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text.split()


def words_rouge(text: str) -> list[str]:
    """Runs of a to z and 0 to 9 in lower case, as Lin's ROUGE script and rouge-score take them, without stemming."""
    return re.findall("[a-z0-9]+", text.lower())


class _TextMetric(Metric):
    """Cuts sentences into words and pairs them with their references, a sentence at a time."""

    kept: tuple[str, ...]  # the attributes that are gathered; the others are options

    def __init__(self, tokenize: Callable[[str], Sequence[str]]):
        self.tokenize = tokenize
        self.reset()

    def update(self, prediction: Any, target: Any) -> None:
        who = type(self).__name__
        if isinstance(prediction, str) or isinstance(target, str) or len(prediction) != len(target):
            came = [type(x).__name__ if isinstance(x, str) else len(x) for x in (prediction, target)]
            raise ShapeError(
                f"{who}: needs a list of sentences and a list of as many references: got {came[0]} and {came[1]}."
            )
        for sentence, references in zip(prediction, target):
            several = references if isinstance(references, list) else [references]
            if not several:
                raise ArgumentError(f"{who}: every sentence needs a reference: got none for {sentence!r}.")
            self.add(self._words(sentence), [self._words(reference) for reference in several])

    def add(self, words: Sequence[str], references: list[Sequence[str]]) -> None:
        """Take in one sentence."""
        raise NotImplementedError

    def _words(self, sentence: Sentence) -> Sequence[str]:
        return self.tokenize(sentence) if isinstance(sentence, str) else sentence

    def state_dict(self) -> dict[str, Any]:
        return {k: v.state_dict() if isinstance(v, Mean) else v for k, v in vars(self).items() if k in self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in self.kept:
            value = state[name]
            if isinstance(getattr(self, name), Mean):
                getattr(self, name).load_state_dict(value)
            else:
                setattr(self, name, np.array(value.numpy() if isinstance(value, Tensor) else value))


class BLEU(_TextMetric):
    """BLEU of a corpus, from 0 to 100: exp(min(0, 1 - r/c)) * (p_1 p_2 ... p_N)^(1/N), times 100.

    p_n: the share of all sentences' runs of n words that a reference has too, each counted at most as often as in the
    reference that has it the most often. c: the words of all sentences; r: those of the references, of each sentence's
    the one nearest in length (of two, the shorter). order: N. tokenize: cuts a text into words.

    smooth: where no run of n words is right, p_n is taken as 1 / (2^k total_n) at the k-th such n, as NIST does; where
    no word is right, or no sentence has N words, BLEU is 0. With the defaults the figure is sacrebleu's. With
    ``smooth=False, tokenize=str.split`` it is NLTK's ``corpus_bleu`` times 100 where all sentences have N words; NLTK
    takes total_n of a shorter one as 1, and gives about 1e-230 in place of 0.
    Papineni, Roukos, Ward, Zhu 2002, "BLEU: a method for automatic evaluation of machine translation", section 2.3;
    Post 2018, arXiv:1804.08771.

    >>> bleu = BLEU()
    >>> bleu.update(["the cat sat on the mat ."], ["the cat sat on a mat ."])
    >>> round(bleu.compute(), 2)  # (6/7 * 4/6 * 2/5 * 1/4)^(1/4)
    48.89
    """

    name = "bleu"
    kept = ("right", "total", "lengths")

    def __init__(self, order: int = 4, *, smooth: bool = True, tokenize: Callable[[str], Sequence[str]] = words_13a):
        if order < 1:
            raise ArgumentError(f"BLEU: order must be positive: got {order}.")
        self.order, self.smooth = order, smooth
        super().__init__(tokenize)

    def reset(self) -> None:
        self.right, self.total = np.zeros(self.order, np.int64), np.zeros(self.order, np.int64)  # by n - 1
        self.lengths = np.zeros(2, np.int64)  # c, r

    def add(self, words: Sequence[str], references: list[Sequence[str]]) -> None:
        c = len(words)
        self.lengths += (c, min((abs(len(reference) - c), len(reference)) for reference in references)[1])
        for n in range(1, self.order + 1):
            most: Counter[tuple[str, ...]] = Counter()
            for reference in references:
                most |= runs(reference, n)
            self.right[n - 1] += (runs(words, n) & most).total()
            self.total[n - 1] += max(c - n + 1, 0)

    def compute(self) -> float:
        """From 0 to 100; 0 before the first sentence."""
        if not self.right[0] or not self.total.all():
            return 0.0
        if not self.smooth and not self.right.all():
            return 0.0
        c, r = self.lengths
        wrong = np.cumsum(self.right == 0)  # k
        p = np.where(self.right, self.right, 0.5**wrong) / self.total  # (N,)
        return 100 * math.exp(min(0.0, 1 - r / c) + float(np.log(p).mean()))


def runs(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of n words occurs."""
    return Counter(zip(*(words[i:] for i in range(n))))


class RougeL(_TextMetric):
    """ROUGE-L, from 0 to 1, the mean over the sentences: F = (1 + beta^2) P R / (R + beta^2 P), R = l / r, P = l / c.

    l: the length of the longest subsequence that a text of c words and its reference of r words share, gaps allowed;
    of several references the one with the largest F. beta: how much more R counts than P; with 1 the figure is
    rouge-score's "rougeL" (without stemming). A text is taken as one sequence, its sentences are not matched one by one
    (that is ROUGE-Lsum). Lin 2004, "ROUGE: a package for automatic evaluation of summaries", section 3.1.

    >>> rouge = RougeL()
    >>> rouge.update(["police kill the gunman", "the gunman kill police"], ["police killed the gunman"] * 2)
    >>> rouge.compute()  # (3/4 + 2/4) / 2, Lin's example
    0.625
    """

    name = "rouge_l"
    kept = ("mean",)

    def __init__(self, beta: float = 1.0, *, tokenize: Callable[[str], Sequence[str]] = words_rouge):
        if not beta > 0:
            raise ArgumentError(f"RougeL: beta must be positive: got {beta}.")
        self.beta = beta
        super().__init__(tokenize)

    def reset(self) -> None:
        self.mean = Mean()

    def add(self, words: Sequence[str], references: list[Sequence[str]]) -> None:
        weight = self.beta**2
        # l (1 + beta^2) / (c + beta^2 r) is F with P and R written out, and is defined where l is 0
        scores = (
            (1 + weight) * longest_common(words, reference) / max(len(words) + weight * len(reference), 1)
            for reference in references
        )
        self.mean.add(max(scores))

    def compute(self) -> float:
        """NaN before the first sentence."""
        return self.mean.value


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence, O(len(a) len(b)).

    >>> longest_common("police kill the gunman".split(), "the gunman kill police".split())
    2
    """
    row = [0] * (len(b) + 1)  # row[j]: of the words of a so far and the first j of b
    for word in a:
        before = 0  # the row above, one to the left
        for j, other in enumerate(b, 1):
            above = row[j]
            row[j] = before + 1 if word == other else max(above, row[j - 1])
            before = above
    return row[-1]
