"""BLEU and ROUGE-L against values counted by hand, and against sacrebleu, NLTK and rouge-score where they are."""

import math
import random

import pytest

from minigrad.errors import ArgumentError, ShapeError
from minigrad.train import BLEU, RougeL
from minigrad.train.text_metrics import longest_common, words_13a

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", ",", ".", "big", "3,000", "1-2", "it's"]


def score(metric, prediction, target):
    metric.reset()
    metric.update(prediction, target)
    return metric.compute()


def corpus(seed, n=30, references=2, shortest=1):
    """Sentences, and references that are changed copies of them."""
    rng = random.Random(seed)
    texts = [rng.choices(WORDS, k=rng.randint(shortest, 12)) for _ in range(n)]
    change = lambda words: (
        [w if rng.random() < 0.7 else rng.choice(WORDS) for w in words] + rng.choices(WORDS, k=rng.randint(0, 2))
    )
    return [" ".join(t) for t in texts], [[" ".join(change(t)) for _ in range(references)] for t in texts]


def test_bleu_by_hand():
    # Papineni et al. 2002: "the" is right twice of seven times
    assert score(BLEU(1), ["the " * 7], [["the cat is on the mat", "there is a cat on the mat"]]) == pytest.approx(
        100 * 2 / 7
    )
    # 4 of 5 words, 3 of 4 pairs, 2 of 3, 1 of 2; 5 words where the reference has 6
    p = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert score(BLEU(), ["a b c d x"], ["a b c d e f"]) == pytest.approx(100 * p * math.exp(1 - 6 / 5))
    # counts are added up over the sentences before the shares are taken: 6 of 8 words, 4 of 6 pairs
    assert score(BLEU(2), ["a b c d", "a b x y"], ["a b c d", "a b c d"]) == pytest.approx(100 * (6 / 8 * 4 / 6) ** 0.5)
    # no run of 3 or 4 is right: 1 / (2 * 2) and 1 / (4 * 1)
    assert score(BLEU(), ["a b x y"], ["a b c d"]) == pytest.approx(100 * (2 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25)
    assert score(BLEU(smooth=False), ["a b x y"], ["a b c d"]) == 0
    # of two references as near in length, the shorter counts
    assert score(BLEU(1), ["a b c"], [["a b", "a b c d"]]) == pytest.approx(100)


def test_bleu_where_there_is_little():
    assert BLEU().compute() == 0
    assert score(BLEU(), [""], ["a b c d"]) == 0
    assert score(BLEU(), ["x y z w"], ["a b c d"]) == 0
    assert score(BLEU(), ["a b c"], ["a b c"]) == 0  # no run of four
    assert score(BLEU(), ["a b c d"], ["a b c d"]) == pytest.approx(100)
    assert score(BLEU(), ["A b c d"], ["a b c d"]) < 100  # the case counts


def test_bleu_takes_words_too():
    words = [("Don't", ".", "stop", "now")]
    assert score(BLEU(), words, words) == pytest.approx(100)
    assert score(BLEU(2, tokenize=list), ["abc"], ["abd"]) == pytest.approx(100 * (2 / 3 * 1 / 2) ** 0.5)


def test_words_13a():
    assert words_13a("It costs $3,000.50 (or so), &quot;they&quot; said.\n") == [
        *("It", "costs", "$", "3,000.50", "(", "or", "so", ")", ",", '"', "they", '"', "said", ".")
    ]
    assert words_13a("1990-2000 well-known") == ["1990", "-", "2000", "well-known"]


def test_rouge_by_hand():
    assert longest_common(["a", "b", "c", "d", "e"], ["b", "x", "d", "e"]) == 3
    assert longest_common([], ["a"]) == 0
    # l = 3 of c = 5 and r = 4 words
    assert score(RougeL(), ["A, b C d e"], ["b x d e"]) == pytest.approx(2 * 3 / 9)
    p, r, beta = 3 / 5, 3 / 4, 1.2
    assert score(RougeL(beta), ["a b c d e"], ["b x d e"]) == pytest.approx((1 + beta**2) * p * r / (r + beta**2 * p))
    assert score(RougeL(), ["a b", "c"], [["x", "a b"], "x"]) == pytest.approx(0.5)  # the best reference; the mean
    assert score(RougeL(), [""], [""]) == 0
    assert math.isnan(RougeL().compute())


@pytest.mark.parametrize("make", [BLEU, RougeL])
def test_batches_and_state(make):
    texts, references = corpus(0)
    whole, parts = score(make(), texts, references), make()
    parts.update(texts[:10], references[:10])
    other = make()
    other.load_state_dict(parts.state_dict())
    other.update(texts[10:], references[10:])
    assert other.compute() == pytest.approx(whole, rel=1e-12)
    assert parts.compute() == score(make(), texts[:10], references[:10])


@pytest.mark.parametrize("make", [BLEU, RougeL])
def test_errors(make):
    with pytest.raises(ShapeError, match="as many references: got 2 and 1"):
        make().update(["a", "b"], ["a"])
    with pytest.raises(ShapeError, match="got str and 1"):
        make().update("a", ["a"])
    with pytest.raises(ArgumentError, match="needs a reference: got none for 'a'"):
        make().update(["a"], [[]])
    with pytest.raises(ArgumentError, match="must be positive: got 0"):
        make(0)


@pytest.mark.parametrize("seed", range(4))
def test_sacrebleu(seed):
    sacrebleu = pytest.importorskip("sacrebleu")
    texts, references = corpus(seed, n=1 if seed == 3 else 30)
    theirs = sacrebleu.corpus_bleu(texts, [list(column) for column in zip(*references)]).score
    assert score(BLEU(), texts, references) == pytest.approx(theirs, rel=1e-9)
    for text in ['a&amp;b <c> "d," 1.5-2, e.g. x_y [z] 3.', "100% of 2-3 a.b,c 5 ,6", "don`t {x}~ ..."]:
        assert words_13a(text) == sacrebleu.tokenizers.tokenizer_13a.Tokenizer13a()(text).split()


@pytest.mark.parametrize("seed", range(3))
def test_nltk(seed):
    nltk = pytest.importorskip("nltk.translate.bleu_score")
    texts, references = corpus(seed, shortest=4)
    theirs = nltk.corpus_bleu([[r.split() for r in several] for several in references], [t.split() for t in texts])
    assert score(BLEU(smooth=False, tokenize=str.split), texts, references) == pytest.approx(100 * theirs, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_rouge_score(seed):
    rouge = pytest.importorskip("rouge_score.rouge_scorer")
    texts, references = corpus(seed, references=1)
    scorer = rouge.RougeScorer(["rougeL"])
    theirs = [scorer.score(r, t)["rougeL"].fmeasure for t, (r,) in zip(texts, references)]
    assert score(RougeL(), texts, references) == pytest.approx(sum(theirs) / len(theirs), rel=1e-9)
