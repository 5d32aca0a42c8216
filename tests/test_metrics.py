"""Metrics gathered by batches are scikit-learn's of the whole."""

import numpy as np
import pytest

from minigrad import io, train
from minigrad.errors import ArgumentError, IndexRangeError, ShapeError

RNG = np.random.default_rng(0)
N, K = 157, 4
TARGET = RNG.choice(K, N, p=[0.5, 0.3, 0.15, 0.05])
SCORES = RNG.normal(size=(N, K)) + 1.5 * np.eye(K)[TARGET]
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
BINARY = (TARGET > 0).astype(np.int64)
SCORE = np.round(RNG.normal(size=N) + BINARY, 1)  # rounded: with ties
X, Y = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3)) + 1000

OVR, ROWS = (TARGET, SHARES), (np.eye(K)[TARGET], SHARES)


def skl(name, **options):
    return lambda *a: getattr(pytest.importorskip("sklearn.metrics"), name)(*a, **options)


def averaged(make, name):
    answers = SCORES.argmax(1)
    for average in ("macro", "micro", "weighted", None):
        yield make(K, average), SCORES, TARGET, skl(name, average=average), (TARGET, answers)
    yield make(2, "binary"), SCORE, BINARY, skl(name), (BINARY, SCORE > 0)


CASES = [
    *averaged(train.Precision, "precision_score"),
    *averaged(train.Recall, "recall_score"),
    *averaged(train.F1, "f1_score"),
    (train.Accuracy(), SCORES, TARGET, skl("accuracy_score"), (TARGET, SCORES.argmax(1))),
    (train.TopKAccuracy(2), SCORES, TARGET, skl("top_k_accuracy_score", k=2), (TARGET, SCORES)),
    (train.ConfusionMatrix(K), SCORES, TARGET, skl("confusion_matrix"), (TARGET, SCORES.argmax(1))),
    (train.MatthewsCorrCoef(K), SCORES, TARGET, skl("matthews_corrcoef"), (TARGET, SCORES.argmax(1))),
    (train.ROCAUC(), SCORE, BINARY, skl("roc_auc_score"), (BINARY, SCORE)),
    (train.ROCAUC(), np.stack([-SCORE, SCORE], 1), BINARY, skl("roc_auc_score"), (BINARY, SCORE)),
    (train.ROCAUC(), SHARES, TARGET, skl("roc_auc_score", multi_class="ovr"), (TARGET, SHARES)),
    (train.ROCAUC("weighted"), SCORES, TARGET, skl("roc_auc_score", multi_class="ovr", average="weighted"), OVR),
    (train.AveragePrecision(), SCORE[:, None], BINARY, skl("average_precision_score"), (BINARY, SCORE)),
    (train.AveragePrecision(None), SHARES, TARGET, skl("average_precision_score", average=None), ROWS),
    (train.MAE(), X, Y, skl("mean_absolute_error"), (Y, X)),
    (train.MSE(), X, Y, skl("mean_squared_error"), (Y, X)),
    (train.R2(), X + 1000, Y, skl("r2_score"), (Y, X + 1000)),
    (train.R2(), X[:, :1], X[:, 0] + 1, skl("r2_score"), (X[:, 0] + 1, X[:, 0])),
    (train.Perplexity(), SCORES, TARGET, lambda t, p: np.exp(skl("log_loss")(t, p)), (TARGET, SHARES)),
]  # fmt: skip


@pytest.mark.parametrize("metric, prediction, target, oracle, arguments", CASES, ids=lambda v: type(v).__name__)
def test_by_batches_and_through_a_file_as_scikit_learn(metric, prediction, target, oracle, arguments, tmp_path):
    metric.reset()
    metric.update(prediction[:50], target[:50])
    io.save({"m": metric.state_dict()}, tmp_path / "m.npz")
    metric.reset()
    metric.update(prediction[:9], target[:9])  # forgotten
    metric.load_state_dict(io.load(tmp_path / "m.npz")["m"])
    for start in range(50, N, 40):
        metric.update(prediction[start : start + 40], target[start : start + 40])
    np.testing.assert_allclose(metric.compute(), oracle(*arguments), rtol=1e-9)
    assert metric.name and metric.mode in ("min", "max")


def test_before_the_first_batch_and_on_one_sort_of_samples():
    for metric in (train.ROCAUC(), train.MAE(), train.R2(), train.TopKAccuracy(1)):
        assert np.isnan(metric.compute())
    auc = train.ROCAUC()
    auc.update(np.array([0.1, 0.2]), np.array([1, 1]))
    assert np.isnan(auc.compute())
    assert train.MatthewsCorrCoef().compute() == 0 and train.Precision(3).compute() == 0


def test_padding_does_not_count():
    perplexity = train.Perplexity(ignore_index=0)
    perplexity.update(SCORES.reshape(1, N, K), TARGET[None])
    chosen = SHARES[np.arange(N), TARGET][TARGET != 0]
    assert perplexity.compute() == pytest.approx(np.exp(-np.log(chosen).mean()))


def test_top_k_breaks_ties_as_argmax_does():
    scores = np.zeros((4, 3))
    for k in (1, 2, 3):
        metric = train.TopKAccuracy(k)
        metric.update(scores, np.array([0, 1, 2, 2]))
        assert metric.compute() == [None, 0.25, 0.5, 1][k] and metric.name == f"top{k}_accuracy"


def test_mixed_targets_count_as_their_largest_share():
    accuracy = train.Accuracy()
    accuracy.update(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[0.7, 0.3], [0.6, 0.4]], np.float32))
    assert accuracy.compute() == 0.5


def test_metrics_refuse():
    for make in (
        lambda: train.F1(3, "median"),
        lambda: train.Recall(3, "binary"),
        lambda: train.TopKAccuracy(0),
        lambda: train.ROCAUC("micro"),
        lambda: train.Perplexity().update(SCORES, SCORE),
    ):
        with pytest.raises(ArgumentError):
            make()
    for metric, prediction in ((train.ROCAUC(), SCORES[:3]), (train.MSE(), X), (train.TopKAccuracy(5), SCORES)):
        with pytest.raises(ShapeError, match="needs"):
            metric.update(prediction, TARGET)
    for metric in (train.ROCAUC(), train.Perplexity()):
        with pytest.raises(IndexRangeError, match="0 to 2"):
            metric.update(SCORES[:, :3], TARGET)
