"""The chapter's Gaussian game in MXNet: Gluon with autograd, as it is and hybridised."""

import mxnet as mx
from mxnet import autograd, gluon, init, np, npx
from mxnet.gluon import nn

from benchmarks.speed.frameworks import measure
from benchmarks.speed.frameworks.measure import BATCH, POINTS, SAMPLES

npx.set_np()

cross_entropy = gluon.loss.SigmoidBinaryCrossEntropyLoss()


def points():
    A, b = np.array([[1.0, 2.0], [-0.1, 0.5]]), np.array([1.0, 2.0])
    return np.dot(np.random.normal(0, 1, (POINTS, 2)), A) + b


def dense(units, inputs, activation=None):
    return nn.Dense(
        units, activation, in_units=inputs,
        weight_initializer=init.Normal(0.02), bias_initializer=init.Normal(0.02),
    )  # fmt: skip


def networks(dtype="float32"):
    G, D = nn.HybridSequential(), nn.HybridSequential()
    G.add(dense(2, 2))
    D.add(dense(5, 2, "tanh"), dense(3, 5, "tanh"), dense(1, 3))
    for net in (G, D):
        net.initialize()
        net.cast(dtype)
    return G, D


def discriminator_backward(X, Z, G, D):
    with autograd.record():
        real, fake = D(X), D(G(Z).detach())
        loss = cross_entropy(real, np.ones_like(real)) + cross_entropy(fake, np.zeros_like(fake))
        loss = loss / 2
    loss.backward()
    return loss.sum()


def generator_backward(Z, G, D):
    with autograd.record():
        fake = D(G(Z))
        loss = cross_entropy(fake, np.ones_like(fake))
    loss.backward()
    return loss.sum()


def play(seed, epochs, report, hybrid=False):
    mx.random.seed(seed)
    data = gluon.data.DataLoader(gluon.data.ArrayDataset(points()), BATCH, shuffle=True)
    G, D = networks()
    if hybrid:
        G.hybridize(static_alloc=True)
        D.hybridize(static_alloc=True)
    adam_G = gluon.Trainer(G.collect_params(), "adam", {"learning_rate": 0.005})
    adam_D = gluon.Trainer(D.collect_params(), "adam", {"learning_rate": 0.05})
    for _ in range(epochs):
        loss_D, loss_G = 0.0, 0.0
        for X in data:
            Z = np.random.normal(0, 1, X.shape)
            loss_D += float(discriminator_backward(X, Z, G, D))
            adam_D.step(BATCH)  # divides the gradient by the batch: its mean
            loss_G += float(generator_backward(Z, G, D))
            adam_G.step(BATCH)
        report(loss_D / POINTS, loss_G / POINTS)
    return G(np.random.normal(0, 1, (SAMPLES, 2))).asnumpy()


def hybridised(seed, epochs, report):
    return play(seed, epochs, report, hybrid=True)


def gradients(file):
    """One turn of each player from the weights and draws of a file."""
    dtype = file["real"].dtype.name
    G, D = networks(dtype)
    X, Z = np.array(file["real"], dtype=dtype), np.array(file["noise"], dtype=dtype)
    put(G, measure.layers(file, "G"))
    put(D, measure.layers(file, "D"))
    discriminator_backward(X, Z, G, D)
    of_D = pairs(D)
    put(D, measure.layers(file, "later"))
    generator_backward(Z, G, D)
    return measure.named("D", of_D) | measure.named("G", pairs(G))


def put(net, layers):
    for layer, (weight, bias) in zip(net, layers, strict=True):
        layer.weight.set_data(np.array(weight.T, dtype=weight.dtype))
        layer.bias.set_data(np.array(bias, dtype=bias.dtype))


def pairs(net):
    return [(d.weight.grad().asnumpy().T, d.bias.grad().asnumpy()) for d in net]


if __name__ == "__main__":
    versions = {"mxnet": mx.__version__, "numpy": measure.np.__version__}
    measure.main({"plain": play, "hybrid": hybridised}, versions, gradients)
