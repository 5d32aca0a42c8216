"""What PyTorch refuses and NumPy lets pass or fails at in its own words: here a MinigradError."""

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import MinigradError

X = mg.arange(9.0).reshape(3, 3)
CALLS = {
    "normal_ std": lambda: mg.ones(3).normal_(0, -1),
    "uniform_ bounds": lambda: mg.ones(3).uniform_(3, -1),
    "exponential_ rate": lambda: mg.ones(3).exponential_(0),
    "geometric_ p": lambda: mg.ones(3).geometric_(-1),
    "log_normal_ std": lambda: mg.ones(3).log_normal_(0, 0),
    "cauchy_ sigma": lambda: mg.ones(3).cauchy_(0, 0),
    "renorm of a number": lambda: mg.renorm(mg.tensor(1.0), 0.5, 0, 1.0),
    "narrow from a boolean": lambda: mg.narrow(X, 0, mg.tensor(True), 1),
    "roll without a shift": lambda: mg.roll(X, ()),
    "ormqr of a number": lambda: mg.ormqr(mg.tensor(1.0), mg.tensor(1.0), X),
    "ormqr with too many reflections": lambda: mg.ormqr(mg.ones(3, 0), mg.ones(3), X),
    "gradient with one spacing in a list": lambda: mg.gradient(X, spacing=[0.1], dim=(1, 0)),
    "cov, negative weights": lambda: mg.cov(X, fweights=mg.tensor([-1, 1, 1])),
    "cov, parts of counts": lambda: mg.cov(X, fweights=mg.tensor([0.5, 1, 1])),
    "hsplit into none": lambda: mg.hsplit(X, 0),
    "fft of a number": lambda: mg.fft.fft(mg.tensor(1.0)),
    "fftn of a number": lambda: mg.fft.fftn(mg.tensor(1.0), dim=(0,)),
    "batch_norm, eps": lambda: nn.BatchNorm1d(3, eps=0.0)(X),
}


@pytest.mark.parametrize("name", CALLS)
def test_refused(name):
    with pytest.raises(MinigradError):
        CALLS[name]()


def test_pooled_integers_stay_integers():
    x = mg.tensor([[[-3, -2, 5, 8]]])
    y = nn.functional.avg_pool1d(x, 2)
    assert y.tolist() == [[[-2, 6]]] and y.dtype == mg.int64  # cut towards zero
    assert nn.functional.relu6(mg.tensor([-1, 9])).tolist() == [0, 6]
    assert nn.functional.hardtanh(mg.tensor([-1, 1]), -0.5, 0.5).dtype == mg.int64


def test_given_samples_of_fractional_pooling_are_state():
    pool = nn.FractionalMaxPool2d(2, output_ratio=0.5, _random_samples=mg.full((1, 3, 2), 0.4))
    assert list(pool.state_dict()) == ["_random_samples"]
    assert not nn.FractionalMaxPool2d(2, output_ratio=0.5).state_dict()
