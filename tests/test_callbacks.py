"""Callbacks that keep, watch and write: averages, guards, logs, the range test; and what happens when writing fails."""

import csv
import errno
import os
import struct

import numpy as np
import pytest

import minigrad as mg
from minigrad import io, nn, optim, train
from minigrad.data import ArrayDataset, DataLoader, IterableDataset
from minigrad.errors import ArgumentError, DataError, DivergenceError
from minigrad.nn import functional as F
from minigrad.train import EMA, Accuracy, Callback, CSVLogger, EarlyStopping, LRFinder, NaNGuard, TensorBoard, Trainer
from minigrad.train.tensorboard import EventWriter, crc32c

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def loader(shuffle=True, **options):
    return DataLoader(ArrayDataset(X, Y), 8, shuffle, seed=1, **options)


def made(*callbacks, lr=0.1, **options):
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=callbacks, **options)


def weights(model):
    return [p.numpy().copy() for p in model.parameters()]


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


class StopAt(Callback):
    def __init__(self, left):
        self.left = left

    def batch_end(self, trainer):
        self.left -= 1
        trainer.stopping = trainer.stopping or self.left == 0


# ---- averages --------------------------------------------------------------------------------------------------------
class Record(Callback):
    """The weights after every step, and the validation loss."""

    def __init__(self):
        self.weights = []

    def batch_end(self, trainer):
        self.weights.append(weights(trainer.model))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_evaluated_saved_and_left_in_the_model(tmp_path, accumulate):
    record, path = Record(), tmp_path / "w.npz"
    t = made(record, EMA(0.8), train.ModelCheckpoint(path), accumulate=accumulate)
    plain = made(Record(), accumulate=accumulate)
    for epochs in (2, 1):  # learning itself does not change, from one fit to the next either
        t.fit(loader(), loader(), epochs)
        plain.fit(loader(), loader(), epochs)
    assert all(same(a, b) for a, b in zip(record.weights, plain.callbacks[0].weights))
    steps = [w for i, w in enumerate(record.weights, 1) if i % 5 in ((2, 4, 0) if accumulate == 2 else range(5))]
    average = steps[0]
    for step in steps[1:]:
        average = [0.8 * a + 0.2 * w for a, w in zip(average, step)]
    for got, kept, expected in zip(weights(t.model), io.load(path).values(), average, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
        assert (kept.numpy() == got).all()
    assert t.history["validation_loss"][-1] == pytest.approx(t.evaluate(loader())["loss"])


@pytest.mark.parametrize("stop", [3, 5, 7])
@pytest.mark.parametrize("workers", [0, 2])
def test_averages_and_best_weights_resume_with_the_same_bits(tmp_path, stop, workers):
    parts = lambda: (EMA(0.9), EarlyStopping(patience=3, restore_best=True))
    whole = made(*parts())
    whole.fit(loader(), loader(shuffle=False), 4)
    first = made(*parts(), StopAt(stop), train.SaveState(tmp_path / "s.npz"))
    first.fit(loader(num_workers=workers), loader(shuffle=False), 4)
    second = made(*parts(), StopAt(-1), train.SaveState(tmp_path / "s.npz"))
    second.load_state_dict(io.load(tmp_path / "s.npz"))
    second.fit(loader(num_workers=workers), loader(shuffle=False), 4 - (second.epoch - second.within))
    assert same(weights(whole.model), weights(second.model)) and whole.history == second.history


def test_fit_goes_on_in_the_middle_of_an_epoch_without_a_file():
    whole, parts = made(), made(StopAt(3))
    whole.fit(loader(), epochs=2)
    batches = loader()
    parts.fit(batches, epochs=2)
    parts.fit(batches, epochs=2)
    assert same(weights(whole.model), weights(parts.model)) and whole.history == parts.history


def test_restore_best_gives_the_best_epochs_weights_back():
    best = []

    class Note(Callback):
        def epoch_end(self, trainer):
            best.append((trainer.figures["validation_loss"], weights(trainer.model)))

    t = made(Note(), EarlyStopping(patience=2, restore_best=True), lr=3.0)
    t.fit(loader(), loader(), 12)
    assert same(weights(t.model), min(best, key=lambda b: b[0])[1]) and len(best) < 12


def test_monitoring_a_metric_knows_which_way_is_better():
    assert train.callbacks._Best("x", "validation_accuracy", "auto").improved(
        type("T", (), {"figures": {"validation_accuracy": 0.5}, "metrics": [Accuracy()]})
    )
    stop = EarlyStopping("validation_mse", patience=1)
    t = type("T", (), {"figures": {}, "metrics": [train.MSE()], "stopping": False})()
    for value, stopping in ((2.0, False), (1.0, False), (1.5, True)):
        t.figures = {"validation_mse": value}
        stop.epoch_end(t)
        assert t.stopping is stopping


# ---- guards ----------------------------------------------------------------------------------------------------------
def test_nan_guard_names_the_parameter_and_the_layer():
    t = made(NaNGuard())
    x = mg.tensor(np.zeros((2, 3), np.float32))
    t.compute = lambda batch: ((t.model(x) * 0).sum().sqrt(), x, x)  # sqrt has no slope at 0, and 0 * inf is none
    before = weights(t.model)
    with pytest.raises(DivergenceError, match=r"0\.weight .*2\.bias .* came to 2 \(Linear\) first"):
        t.fit([(x, x)])
    assert same(before, weights(t.model))
    made(NaNGuard()).fit(loader())


def test_range_test_finds_a_rate_and_puts_everything_back(tmp_path):
    pytest.importorskip("matplotlib")
    t, batches = made(), loader()
    t.fit(batches)
    before, generator = weights(t.model), mg.random.default_generator.get_state()
    finder = LRFinder(1e-4, 100, 60)
    rate = finder.find(t, batches)
    assert 1e-3 < rate < 30 and finder.rates[0] == pytest.approx(1e-4)
    assert same(before, weights(t.model)) and mg.random.default_generator.get_state() == generator
    assert finder.plot(tmp_path / "lr.png").read_bytes()[:4] == b"\x89PNG"
    other, same_batches = made(), loader()
    other.fit(same_batches)
    t.fit(batches, epochs=2)
    other.fit(same_batches, epochs=2)
    assert same(weights(t.model), weights(other.model)) and t.history == other.history
    with pytest.raises(ArgumentError, match="LRFinder"):
        LRFinder(1, 0.1)


# ---- logs ------------------------------------------------------------------------------------------------------------
def test_csv_has_a_row_for_each_epoch(tmp_path):
    t = made(CSVLogger(tmp_path / "log.csv"))
    t.fit(loader(), epochs=2)
    t.fit(loader(), loader(), epochs=1)
    rows = list(csv.reader((tmp_path / "log.csv").read_text().splitlines()))
    assert rows[0] == ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    assert [row[0] for row in rows[1:]] == ["1", "2", "3"] and rows[1][3] == "" and float(rows[3][3]) > 0
    assert [float(row[1]) for row in rows[1:]] == t.history["train_loss"]


def test_history_draws_itself(tmp_path):
    figure = pytest.importorskip("matplotlib.figure")
    t = made()
    t.fit(loader(), loader(), 2)
    assert t.history.plot(tmp_path / "curves.png").exists()
    axes = t.history.plot(figure.Figure().subplots(), figure="accuracy", title="learning")
    assert [len(line.get_xdata()) for line in axes.lines] == [2, 2] and axes.get_title() == "learning"
    with pytest.raises(ArgumentError, match="no 'f1'"):
        t.history.plot(axes, figure="f1")


def records(path):
    """(contents) of a TFRecord file; its checksums must be right."""
    raw = path.read_bytes()
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        content = raw[12 : 12 + length]
        for part, found in ((raw[:8], raw[8:12]), (content, raw[12 + length : 16 + length])):
            crc = crc32c(part)
            assert struct.unpack("<I", found)[0] == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32
        yield content
        raw = raw[16 + length :]


def test_tensorboard_files(tmp_path):
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    t = made(TensorBoard(tmp_path, every=2))
    t.fit(loader(), loader(), 2)
    (path,) = tmp_path.iterdir()
    first, *events = records(path)
    assert first[9:] == b"\x1a\rbrain.Event:2"
    assert len(events) == 5 + 2 and b"loss/validation" in events[-1] and b"accuracy/train" in events[-1]
    tag = b"loss/train"
    at = events[-1].index(tag) + len(tag)
    assert events[-1][at : at + 1] == b"\x15"  # field 2, four bytes
    assert struct.unpack("<f", events[-1][at + 1 : at + 5])[0] == np.float32(t.history["train_loss"][-1])


def test_tensorboard_reads_them(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writer = EventWriter(tmp_path)
    for step in (1, 300):
        writer.add({"loss/train": step / 2, "big": 1e300}, step)
    writer.close()
    events = reader.EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/train")] == [(1, 0.5), (300, 150)]


def test_a_stream_can_be_learned_from(capsys):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(X, Y))

    t = made(train.Progress())
    t.fit(DataLoader(Stream(), 8, num_workers=1), epochs=2)
    assert t.batches == 0 and t.batch == 5 and len(t.history["train_loss"]) == 2
    assert capsys.readouterr().out.splitlines()[1].endswith(" s")


# ---- when writing fails ----------------------------------------------------------------------------------------------
def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("failure, error", [(full, DataError), (interrupted, KeyboardInterrupt)])
@pytest.mark.parametrize("make", [train.Checkpoint, train.SaveState, CSVLogger], ids=lambda c: c.__name__)
def test_a_failed_save_leaves_the_old_file_and_a_run_that_can_go_on(tmp_path, monkeypatch, make, failure, error):
    path = tmp_path / "file.npz"
    whole, t, batches = made(), made(make(path)), loader()
    t.fit(batches)
    before = path.read_bytes()
    with monkeypatch.context() as broken, pytest.raises(error, match="No space" if error is DataError else None):
        broken.setattr(os, "fsync", failure)
        t.fit(batches)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    t.fit(batches)
    whole.fit(loader(), epochs=3)
    assert same(weights(t.model), weights(whole.model)) and path.read_bytes() != before


def test_a_folder_that_cannot_be_written_is_an_error_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    for callback in (TensorBoard(tmp_path / "file" / "logs"), CSVLogger(tmp_path / "file" / "log.csv")):
        with pytest.raises(DataError, match=r"file.*(written|can be)"):
            made(callback).fit(loader())


def test_a_run_that_diverges_keeps_its_last_checkpoint(tmp_path):
    t = made(train.Checkpoint(tmp_path / "w.npz"))
    t.fit(loader())
    kept = weights(t.model)
    with pytest.raises(DivergenceError, match="Part 0 of the batch"):
        t.fit([(mg.tensor(np.full((2, 3), np.nan, np.float32)), mg.tensor([0, 1]))])
    assert same(kept, [v.numpy() for v in io.load(tmp_path / "w.npz").values()])
