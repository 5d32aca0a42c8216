"""The recipes' own mathematics: what each model promises holds, on small random weights."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.mode import no_grad
from minigrad.nn import functional as F
from minigrad.recipes import (
    autoencoder_mnist,
    gan_mnist,
    judge,
    prune_quantize,
    saliency,
    vae_mnist,
    vit_mnist,
    wavenet,
)
from minigrad.tensor import Tensor
from minigrad.train import Trainer

RNG = np.random.default_rng(0)
PICTURES = RNG.random((12, 1, 28, 28), np.float32)


@pytest.fixture(autouse=True)
def seeded():
    mg.manual_seed(0)
    with mg.use_backend("numpy"):
        yield


# ---- vit-mnist -------------------------------------------------------------------------------------------------------
def vit():
    return vit_mnist.ViT(patch=7, layers=2, width=8, heads=2, dropout=0.0).eval()


def test_patches_are_the_picture_cut_in_squares():
    patches = vit().patches(Tensor(PICTURES)).numpy()  # (B, 16, 49)
    for row in range(4):
        for column in range(4):
            square = PICTURES[:, 0, 7 * row : 7 * row + 7, 7 * column : 7 * column + 7]
            assert (patches[:, 4 * row + column].reshape(-1, 7, 7) == square).all()


def test_attention_and_rollout_are_distributions():
    weights = vit().attention(Tensor(PICTURES))
    assert [w.shape for w in weights] == [(12, 2, 17, 17)] * 2
    for w in weights:
        np.testing.assert_allclose(w.sum(axis=-1), 1, rtol=1e-5)
    eye = np.eye(17)
    through = (weights[1].mean(axis=1) + eye) / 2 @ ((weights[0].mean(axis=1) + eye) / 2)
    np.testing.assert_allclose(vit_mnist.rollout(weights), through[:, 0, 1:].reshape(-1, 4, 4), rtol=1e-6)


# ---- wavenet ---------------------------------------------------------------------------------------------------------
def test_wavenet_sees_what_it_says_and_nothing_that_comes():
    model = wavenet.WaveNet(5, stacks=2, dilations=3, width=6, skip=7, time=32).eval()
    assert model.sees == 1 + 2 * (1 + 2 + 4)
    with no_grad():
        text = RNG.integers(0, 5, (1, 32))
        before = model(Tensor(text)).numpy()[0]
        for place in (0, 9, 31):
            other = text.copy()
            other[0, place] = (other[0, place] + 1) % 5
            changed = np.abs(model(Tensor(other)).numpy()[0] - before).max(axis=-1) > 0
            assert changed.nonzero()[0].tolist() == list(range(place, min(place + model.sees, 32)))


# ---- vae-mnist, autoencoder-mnist ------------------------------------------------------------------------------------
OPTIONS = SimpleNamespace(latent=3, hidden=16)


def test_divergence_and_fit_are_those_of_the_distributions():
    """KL and E_q[ln p(x | z)], in float64, against the mean of ln q - ln p over many draws and Bernoulli's formula."""
    model = vae_mnist.VAE(OPTIONS)
    x = Tensor((PICTURES[:1] > 0.5).astype(np.float32))
    mean, logvar = (t.detach().numpy().astype(np.float64)[0] for t in model.code(x))
    fit, divergence = (t.item() for t in model.bound(x, mg.Generator(3)))
    z = mean + np.exp(logvar / 2) * np.random.default_rng(1).standard_normal((400_000, 3))
    ln_q = -0.5 * ((z - mean) ** 2 / np.exp(logvar) + logvar)
    assert divergence == pytest.approx((ln_q + 0.5 * z**2).sum(axis=1).mean(), abs=0.01)
    z = mean + np.exp(logvar / 2) * mg.randn(1, 3, generator=mg.Generator(3)).numpy()[0]
    p = model.decode(Tensor(z[None].astype(np.float32))).detach().numpy().astype(np.float64)
    assert fit == pytest.approx(np.where(x.numpy() > 0, np.log(p), np.log(1 - p)).sum(), rel=1e-4)


def test_principal_components_are_the_best_linear_code():
    x = RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 20))
    assert autoencoder_mnist.principal_components(x, x, 4) < 1e-20
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    assert autoencoder_mnist.principal_components(x, x, 2) == pytest.approx((singular[2:] ** 2).sum() / x.size)


# ---- gan-mnist -------------------------------------------------------------------------------------------------------
def game(stop=0):
    mg.manual_seed(0)
    model = gan_mnist.GAN(4, 2, 3, nn.Linear(2, 2))
    adam = lambda player: optim.Adam(player.parameters(), lr=1e-3, betas=(0.5, 0.999))
    stops = type("Stops", (mg.train.Callback,), {"batch_end": lambda self, t: setattr(t, "stopping", t.batch == stop)})
    return gan_mnist.Game(model, adam(model.generator), adam(model.discriminator), 4, [stops()])


def test_a_game_stopped_and_resumed_is_as_never_stopped():
    batches = lambda: DataLoader(ArrayDataset(PICTURES, np.zeros(12, np.int64)), 4, shuffle=True, seed=1)
    whole, first, second = game(), game(stop=2), game()
    mg.manual_seed(5)
    whole.fit(batches(), epochs=2)
    mg.manual_seed(5)
    first.fit(batches(), epochs=2)
    assert first.within
    state = first.state_dict()
    mg.randn(7)
    second.load_state_dict(state)
    second.fit(batches(), epochs=2)
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert whole.history == second.history


def test_each_player_learns_in_its_own_turn():
    t = game()
    player = lambda name: [p.numpy().copy() for p in getattr(t.model, name).parameters()]
    t.opponent.step = lambda: None
    before = player("discriminator"), player("generator"), player("judge")
    t.step((Tensor(PICTURES), Tensor(np.arange(len(PICTURES)) % 10)))
    after = player("discriminator"), player("generator"), player("judge")
    same = [all((a == b).all() for a, b in zip(*both)) for both in zip(before, after)]
    assert same == [True, False, True]


def test_digits_drawn_on_demand(tmp_path):
    model = game().model
    run = SimpleNamespace(noise=4, seed=0, out=tmp_path)
    assert gan_mnist.generate(run, model, "20 26", 3, 1.0) == str(tmp_path / "generated.png")
    with pytest.raises(mg.errors.ArgumentError, match="draws digits; it was asked for 'a 7'"):
        gan_mnist.generate(run, model, "a 7", 3, 1.0)
    z = mg.zeros(2, 3)
    assert gan_mnist.wish(z, Tensor(np.array([9, 0]))).numpy().nonzero()[1].tolist() == [12, 3]


def test_the_verdict_on_pictures():
    sure = nn.Sequential(nn.Flatten(), nn.Linear(4, 10, bias=False))
    sure[1].weight.data = Tensor(100 * np.eye(10, 4, dtype=np.float32))
    four = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    assert judge.verdict(sure, four)["score"] == pytest.approx(4)  # four digits, each without doubt
    assert judge.read(sure, four).tolist() == [0, 1, 2, 3]
    assert judge.verdict(sure, four[:1])["score"] == pytest.approx(1)  # always the same
    assert judge.verdict(sure, 0 * four)["sure"] == pytest.approx(0.1)  # no idea


# ---- prune-quantize --------------------------------------------------------------------------------------------------
def test_pruning_goes_by_stages_to_the_shares_asked_for():
    run = SimpleNamespace(epochs=7, dense=1, zeros=[0.5, 0.9, 0.99])
    model = prune_quantize.network(run)
    stages = prune_quantize.Prune(run)
    assert [stages.stage(epoch) for epoch in range(1, 9)] == [-1, 0, 0, 1, 1, 2, 2, 2]
    shares = []
    for epoch in range(1, 8):
        stages.epoch_start(SimpleNamespace(epoch=epoch, model=model))
        masks = [part.weight_mask.numpy() for part, _ in prune_quantize.weights(model)]
        shares.append(1 - sum(m.sum() for m in masks) / sum(m.size for m in masks))
    np.testing.assert_allclose(shares, [0, 0.5, 0.5, 0.9, 0.9, 0.99, 0.99], atol=1e-4)
    done = prune_quantize.finished(run, model.state_dict())
    assert not nn.utils.prune.is_pruned(done)
    assert prune_quantize.packed(done) < 0.1 * prune_quantize.packed(prune_quantize.cnn_mnist.network(run))
    with no_grad():
        assert (done(Tensor(PICTURES)).numpy() == model(Tensor(PICTURES)).numpy()).all()


# ---- saliency --------------------------------------------------------------------------------------------------------
def small():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 26 * 26, 10)).eval()


def test_integrated_gradients_add_up():
    model, classes = small(), np.arange(12) % 10
    parts = saliency.integrated(model, PICTURES, classes, 64).sum(axis=(1, 2, 3))
    with no_grad():
        gain = [saliency.scores(model, Tensor(x), classes).numpy() for x in (PICTURES, 0 * PICTURES)]
    np.testing.assert_allclose(parts, gain[0] - gain[1], rtol=1e-3, atol=1e-4)


def test_the_slopes_of_a_linear_score_are_its_weights():
    model, classes = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), np.arange(12) % 10
    weights = model[1].weight.numpy()[classes].reshape(PICTURES.shape)
    np.testing.assert_allclose(saliency.slope(model, PICTURES, classes), weights, rtol=1e-5)
    np.testing.assert_allclose(saliency.smooth(model, PICTURES, classes, 3, 0.5), weights, rtol=1e-5)
    np.testing.assert_allclose(saliency.integrated(model, PICTURES, classes, 5), weights * PICTURES, rtol=1e-4)


def test_grad_cam_is_its_formula():
    model, classes = small(), np.arange(12) % 10
    channels = np.tanh(F.conv2d(Tensor(PICTURES), model[0].weight, model[0].bias).detach().numpy())
    a = model[3].weight.numpy()[classes].reshape(-1, 3, 26, 26).mean(axis=(2, 3))
    expected = np.maximum(np.einsum("bc,bchw->bhw", a, channels), 0)
    found = saliency.grad_cam(model, PICTURES, classes, layer=1)
    again = F.interpolate(Tensor(expected[:, None].astype(np.float32)), (28, 28), mode="bilinear").numpy()
    np.testing.assert_allclose(found, again, rtol=1e-4, atol=1e-6)


def test_blanking_takes_the_largest():
    heat = RNG.random((12, 28, 28))
    dark = saliency.blanked(PICTURES + 1, heat, 0.1)
    assert ((dark == 0).sum(axis=(1, 2, 3)) == 78).all()
    for picture, h in zip(dark[:, 0], heat):
        assert h[picture == 0].min() > h[picture > 0].max()


def test_trainer_evaluates_the_game_too():
    assert np.isfinite(Trainer.evaluate(game(), [(Tensor(PICTURES), Tensor(np.zeros(12)))])["loss"])
