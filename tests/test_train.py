"""minigrad.train: the Trainer does what the loop by hand does, and callbacks and metrics keep their word."""

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import io, nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.errors import ArgumentError, DataError, DivergenceError, IndexRangeError, ShapeError
from minigrad.nn import functional as F
from minigrad.train import (
    Accuracy,
    Callback,
    Checkpoint,
    ConfusionMatrix,
    EarlyStopping,
    History,
    LRSchedule,
    Mean,
    Metric,
    Progress,
    StopOnInterrupt,
    Trainer,
)


def blobs(n=48):
    """Two classes of points that a line separates. (N, 2), (N,)."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    return ArrayDataset((rng.normal(size=(n, 2)) + 4 * labels[:, None] - 2).astype(np.float32), labels)


def trainer(lr=0.1, **options):
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    return Trainer(model, F.cross_entropy, optim.SGD(model.parameters(), lr=lr), metrics=[Accuracy()], **options)


class Note(Callback):
    """Writes down what it is told."""

    def __init__(self, stop_at=None, error_at=None):
        self.moments, self.stop_at, self.error_at = [], stop_at, error_at

    def fit_start(self, trainer):
        self.moments.append("fit_start")

    def epoch_start(self, trainer):
        self.moments.append(f"epoch_start {trainer.epoch}/{trainer.epochs}")

    def batch_end(self, trainer):
        self.moments.append(f"batch_end {trainer.batch}/{trainer.batches}")
        trainer.stopping = trainer.stopping or self.moments[-1] == self.stop_at
        if self.moments[-1] == self.error_at:
            raise RuntimeError("on purpose")

    def epoch_end(self, trainer):
        self.moments.append("epoch_end " + " ".join(trainer.figures))

    def fit_end(self, trainer):
        self.moments.append("fit_end")

    def close(self):
        self.moments.append("close")


# ---- the loop ------------------------------------------------------------------------------------------------------
def test_fit_is_the_loop_by_hand():
    by_trainer = trainer()
    by_trainer.fit(DataLoader(blobs(), 10, shuffle=True, seed=1), epochs=3)

    by_hand = trainer()
    model, optimizer = by_hand.model, by_hand.optimizer
    loader = DataLoader(blobs(), 10, shuffle=True, seed=1)
    losses = []
    for _ in range(3):
        total = 0.0
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        losses.append(total / 48)
    for a, b in zip(by_trainer.model.parameters(), model.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert by_trainer.history["train_loss"] == pytest.approx(losses, rel=1e-12)


def test_fit_learns_and_keeps_a_history():
    t = trainer()
    history = t.fit(DataLoader(blobs(), 8, shuffle=True, seed=0), DataLoader(blobs(), 16), epochs=6)
    assert isinstance(history, History) and history is t.history
    assert list(history) == ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    assert all(len(values) == 6 for values in history.values())
    assert history["validation_accuracy"][-1] == 1 and history["train_loss"][-1] < history["train_loss"][0]
    t.fit(DataLoader(blobs(), 8), DataLoader(blobs(), 16), epochs=2)  # goes on where it was
    assert t.epoch == 8 and len(history["train_loss"]) == 8


def test_fit_on_every_backend(backend, tmp_path):
    """Data, model and metrics meet on the backend in use; weights go to the host only to be saved."""
    t = trainer(callbacks=[Checkpoint(tmp_path / "w.safetensors")])
    t.fit(DataLoader(blobs(), 8, shuffle=True, seed=0), DataLoader(blobs(), 16), epochs=3)
    assert t.history["validation_accuracy"][-1] > 0.9
    assert t.predict(DataLoader(blobs(), 48)).backend.name == backend
    t.model.load_state_dict(io.load(tmp_path / "w.safetensors"))


def test_evaluate_weighs_batches_by_size_and_leaves_the_mode_alone():
    t = trainer()
    whole = t.evaluate(DataLoader(blobs(), 48))
    parts = t.evaluate(DataLoader(blobs(), 13))  # 13 + 13 + 13 + 9
    assert parts == pytest.approx(whole, rel=1e-5)
    assert t.model.training
    t.model.eval()
    t.evaluate(DataLoader(blobs(), 48))
    assert not t.model.training


def test_evaluate_with_other_metrics():
    figures = trainer().evaluate(DataLoader(blobs(), 10), metrics=[ConfusionMatrix(2)])
    assert figures.keys() == {"loss", "confusion_matrix"} and figures["confusion_matrix"].sum() == 48


def test_predict_gives_the_outputs_in_order_without_dropout_or_graph():
    t = trainer()
    outputs = t.predict(DataLoader(blobs(), 10))
    assert outputs.shape == (48, 2) and not outputs.requires_grad
    t.model.eval()
    np.testing.assert_allclose(outputs.numpy(), t.model(mg.tensor(blobs().arrays[0])).detach().numpy(), rtol=1e-5)
    inputs_only = t.predict([mg.tensor(blobs().arrays[0])])
    np.testing.assert_allclose(outputs.numpy(), inputs_only.numpy(), rtol=1e-5)


def test_callbacks_are_told_every_moment_in_order():
    note = Note()
    trainer(callbacks=[note]).fit(DataLoader(blobs(), 24), DataLoader(blobs(), 24), epochs=2)
    epoch = "epoch_end train_loss train_accuracy validation_loss validation_accuracy"
    assert note.moments == [
        "fit_start",
        *("epoch_start 1/2", "batch_end 1/2", "batch_end 2/2", epoch),
        *("epoch_start 2/2", "batch_end 1/2", "batch_end 2/2", epoch),
        *("fit_end", "close"),
    ]


def test_stopping_ends_after_the_batch_and_records_no_partial_epoch():
    note = Note(stop_at="batch_end 1/2")
    t = trainer(callbacks=[note])
    t.fit(DataLoader(blobs(), 24), epochs=5)
    assert note.moments == ["fit_start", "epoch_start 1/5", "batch_end 1/2", "fit_end", "close"]
    assert t.history == {}


def test_callbacks_are_closed_after_an_error():
    note = Note(error_at="batch_end 2/2")
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer(callbacks=[note]).fit(DataLoader(blobs(), 24))
    assert note.moments[-2:] == ["batch_end 2/2", "close"]


def test_divergence_is_an_error_that_says_where():
    data = ArrayDataset(np.full((4, 2), np.inf, np.float32), [0, 1, 0, 1])
    with pytest.raises(DivergenceError, match=r"epoch 1, batch 1.*smaller learning rate"), np.errstate(all="ignore"):
        trainer().fit(DataLoader(data, 2))


def test_fit_refuses():
    t = trainer()
    with pytest.raises(ArgumentError, match="epochs must be positive"):
        t.fit(DataLoader(blobs(), 8), epochs=0)
    with pytest.raises(ArgumentError, match="no optimizer"):
        Trainer(t.model, t.loss).fit(DataLoader(blobs(), 8))
    for method in (t.fit, t.evaluate, t.predict):
        with pytest.raises(ArgumentError, match="gave no"):
            method(iter(()))


# ---- callbacks -----------------------------------------------------------------------------------------------------
class Figures:
    """A trainer of which callbacks see one figure per epoch."""

    def __init__(self, model=None):
        self.model = self.evaluated = model
        self.metrics, self.figures, self.stopping, self.epoch = [Accuracy()], {}, False, 0

    def end_epoch(self, callback, **figures):
        self.epoch += 1
        self.figures = figures
        callback.epoch_end(self)
        return self.stopping


def test_early_stopping_waits_for_patience():
    stop, t = EarlyStopping(patience=2, min_delta=0.1), Figures()
    losses = [1.0, 0.8, 0.75, 0.6, 0.55, 0.54]
    assert [t.end_epoch(stop, validation_loss=v) for v in losses] == [False, False, False, False, False, True]


def test_early_stopping_on_accuracy_wants_more():
    stop, t = EarlyStopping("validation_accuracy", patience=1), Figures()
    assert [t.end_epoch(stop, validation_accuracy=v) for v in (0.5, 0.6, 0.6)] == [False, False, True]


def test_early_stopping_ends_a_run():
    t = trainer(lr=1e-12, callbacks=[EarlyStopping(patience=2, min_delta=0.5)])
    t.fit(DataLoader(blobs(), 24), DataLoader(blobs(), 24), epochs=50)
    assert len(t.history["train_loss"]) == 3


def test_monitoring_what_is_not_there_is_an_error():
    with pytest.raises(ArgumentError, match=r"no figure 'validation_loss'\. This run has train_loss"):
        Figures().end_epoch(EarlyStopping(), train_loss=1.0)


def test_schedule_steps_by_batch_or_epoch():
    class Counter:
        steps = 0

        def step(self):
            self.steps += 1

    by_batch, by_epoch = Counter(), Counter()
    t = trainer(callbacks=[LRSchedule(by_batch), LRSchedule(by_epoch, every="epoch")])
    t.fit(DataLoader(blobs(), 24), epochs=3)
    assert (by_batch.steps, by_epoch.steps) == (6, 3)


def test_checkpoint_last_and_best(tmp_path):
    model = nn.Linear(1, 1)
    last, best = Checkpoint(tmp_path / "last.npz"), Checkpoint(tmp_path / "best.npz", "best")
    t = Figures(model)
    for epoch, loss in enumerate([3.0, 1.0, 2.0], 1):
        with mg.no_grad():
            model.weight.fill_(epoch)
        t.end_epoch(last, validation_loss=loss)
        t.epoch -= 1
        t.end_epoch(best, validation_loss=loss)
    assert io.load(tmp_path / "last.npz")["weight"].item() == 3
    assert io.load(tmp_path / "best.npz")["weight"].item() == 2
    assert io.load_metadata(tmp_path / "best.npz") == {"epoch": "2"}


def test_checkpoint_of_a_stopped_run_has_the_weights_of_the_last_batch(tmp_path):
    t = trainer(callbacks=[Note(stop_at="batch_end 1/2"), Checkpoint(tmp_path / "last.npz")])
    t.fit(DataLoader(blobs(), 24), epochs=5)
    saved = io.load(tmp_path / "last.npz")
    for name, value in t.model.state_dict().items():
        assert (saved[name].numpy() == value.numpy()).all()
    fresh = trainer().model
    fresh.load_state_dict(saved)
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(fresh.parameters(), t.model.parameters(), strict=True))


def test_checkpoint_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        trainer(callbacks=[Checkpoint(tmp_path / "none" / "w.npz")]).fit(DataLoader(blobs(), 24))


class CtrlC(Callback):
    def batch_end(self, trainer):
        if trainer.batch == 1:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def usual_ctrl_c():
    """SIGINT raises KeyboardInterrupt, whatever the tests were started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it was put back
    signal.signal(signal.SIGINT, before)


def test_interrupt_finishes_the_batch_saves_and_raises(tmp_path, usual_ctrl_c):
    t = trainer(callbacks=[CtrlC(), Checkpoint(tmp_path / "last.npz"), StopOnInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        t.fit(DataLoader(blobs(), 24), epochs=5)
    assert t.batch in (1, 2) and t.epoch == 1  # Python may deliver the signal after the next call
    saved = io.load(tmp_path / "last.npz")
    assert all((saved[k].numpy() == v.numpy()).all() for k, v in t.model.state_dict().items())


def test_second_interrupt_stops_at_once(usual_ctrl_c):
    stop = StopOnInterrupt()
    stop.fit_start(Figures())
    os.kill(os.getpid(), signal.SIGINT)
    while not stop.hit:
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    stop.close()


def test_training_in_another_thread_leaves_signals_alone(usual_ctrl_c):
    errors = []

    def work():
        try:
            trainer(callbacks=[StopOnInterrupt()]).fit(DataLoader(blobs(), 24))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []


def test_progress_prints_a_line_per_epoch(capsys):
    trainer(callbacks=[Progress()]).fit(DataLoader(blobs(), 24), DataLoader(blobs(), 24), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("epoch 2/2  train loss 0.")
    assert "validation loss" in lines[0] and lines[0].count("%") == 2


def test_progress_draws_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    trainer(callbacks=[Progress()]).fit(DataLoader(blobs(), 8), epochs=2)
    out = capsys.readouterr().out
    assert "epoch 1/2  train loss" in out and "epoch 2/2  train loss" in out


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: EarlyStopping(patience=0), "patience"),
        (lambda: EarlyStopping(mode="up"), "mode"),
        (lambda: Checkpoint("x.npz", "all"), "keep"),
        (lambda: LRSchedule(None, every="day"), "every"),
        (lambda: ConfusionMatrix(0), "at least one class"),
    ],
)
def test_callbacks_refuse(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# ---- metrics -------------------------------------------------------------------------------------------------------
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30), st.integers(1, 7))
def test_metrics_over_batches_are_those_of_the_whole(pairs, size):
    target, answers = np.array(pairs).T
    scores = np.eye(4)[answers] + 0.1
    accuracy, confusion = Accuracy(), ConfusionMatrix(4)
    for start in range(0, len(pairs), size):
        accuracy.update(scores[start : start + size], target[start : start + size])
        confusion.update(answers[start : start + size], target[start : start + size])
    assert accuracy.compute() == pytest.approx(np.mean(target == answers))
    expected = [[sum(p == (i, j) for p in pairs) for j in range(4)] for i in range(4)]
    assert confusion.compute().tolist() == expected
    for metric in (accuracy, confusion):
        metric.reset()
    assert np.isnan(accuracy.compute()) and not confusion.compute().any()


def test_metrics_agree_with_scikit_learn(rng):
    from sklearn import metrics

    target, scores = rng.integers(0, 5, 200), rng.normal(size=(200, 5))
    accuracy, confusion = Accuracy(), ConfusionMatrix(5)
    accuracy.update(scores, target)
    confusion.update(scores, target)
    assert accuracy.compute() == pytest.approx(metrics.accuracy_score(target, scores.argmax(1)))
    np.testing.assert_array_equal(confusion.compute(), metrics.confusion_matrix(target, scores.argmax(1)))


def test_mean_is_weighted():
    mean = Mean()
    mean.add(1.0, 3)
    mean.add(5.0, 1)
    assert mean.value == 2


def test_metrics_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="predictions"):
        Accuracy().update(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ShapeError, match="predictions"):
        Accuracy().update(np.zeros((3, 2, 2)), np.zeros(3))
    with pytest.raises(IndexRangeError, match="answers must be from 0 to 1"):
        ConfusionMatrix(2).update(np.array([2]), np.array([0]))
    for call in (Metric().reset, Metric().compute, lambda: Metric().update(None, None)):
        with pytest.raises(NotImplementedError, match="reset"):
            call()
