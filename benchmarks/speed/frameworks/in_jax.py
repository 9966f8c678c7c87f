"""The chapter's Gaussian game in JAX: a jitted step, and an epoch as one jitted `lax.scan`."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.speed.frameworks import measure
from benchmarks.speed.frameworks.measure import BATCH, POINTS, SAMPLES

ADAM_G, ADAM_D = optax.adam(0.005), optax.adam(0.05)


def points(key):
    A, b = jnp.array([[1.0, 2.0], [-0.1, 0.5]]), jnp.array([1.0, 2.0])
    return jax.random.normal(key, (POINTS, 2)) @ A + b


def network(key, *sizes):
    """[(weight, bias)] of every layer, N(0, 0.02)."""
    layers = []
    for inputs, outputs in pairwise(sizes):
        key, of_weight, of_bias = jax.random.split(key, 3)
        weight = 0.02 * jax.random.normal(of_weight, (inputs, outputs))
        layers.append((weight, 0.02 * jax.random.normal(of_bias, (outputs,))))
    return layers


def forward(layers, x):
    """Linear layers with tanh between."""
    *hidden, (weight, bias) = layers
    for w, b in hidden:
        x = jnp.tanh(x @ w + b)
    return x @ weight + bias


def cross_entropy(logits, target):
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, target)).sum()


def discriminator_loss(D, G, X, Z):
    return (cross_entropy(forward(D, X), 1) + cross_entropy(forward(D, forward(G, Z)), 0)) / 2


def generator_loss(G, D, Z):
    return cross_entropy(forward(D, forward(G, Z)), 1)


def step(state, X, key):
    """One turn of each player on one batch."""
    G, D, of_G, of_D = state
    Z = jax.random.normal(key, X.shape)
    loss_D, found = jax.value_and_grad(discriminator_loss)(D, G, X, Z)
    change, of_D = ADAM_D.update(found, of_D)
    D = optax.apply_updates(D, change)
    loss_G, found = jax.value_and_grad(generator_loss)(G, D, Z)
    change, of_G = ADAM_G.update(found, of_G)
    return (optax.apply_updates(G, change), D, of_G, of_D), (loss_D, loss_G)


def start(seed):
    """The state before the first step, the data, a key for the rest."""
    of_G, of_D, of_data, key = jax.random.split(jax.random.key(seed), 4)
    G, D = network(of_G, 2, 2), network(of_D, 2, 5, 3, 1)
    return (G, D, ADAM_G.init(G), ADAM_D.init(D)), points(of_data), key


def generated(state, key):
    return np.asarray(forward(state[0], jax.random.normal(key, (SAMPLES, 2))))


def by_step(seed, epochs, report):
    """The plain loop: data in NumPy, shuffled, sliced, one jitted call a batch."""
    state, data, key = start(seed)
    data, order, one = np.asarray(data), np.random.default_rng(seed), jax.jit(step)
    for _ in range(epochs):
        shuffled, loss_D, loss_G = order.permutation(POINTS), 0.0, 0.0
        for first in range(0, POINTS, BATCH):
            key, drawn = jax.random.split(key)
            X = data[shuffled[first : first + BATCH]]
            state, (one_D, one_G) = one(state, X, drawn)
            loss_D, loss_G = loss_D + float(one_D), loss_G + float(one_G)
        report(loss_D / POINTS, loss_G / POINTS)
    return generated(state, key)


@jax.jit
def epoch(state, data, key):
    """A pass over the data in a new order."""
    of_order, *keys = jax.random.split(key, 1 + POINTS // BATCH)
    batches = jax.random.permutation(of_order, data).reshape(-1, BATCH, 2)
    state, losses = jax.lax.scan(
        lambda state, drawn: step(state, *drawn), state, (batches, jnp.stack(keys))
    )
    return state, [loss.sum() / POINTS for loss in losses]


def scan(seed, epochs, report):
    state, data, key = start(seed)
    for _ in range(epochs):
        key, drawn = jax.random.split(key)
        state, losses = epoch(state, data, drawn)
        report(*map(float, losses))
    return generated(state, key)


def gradients(file):
    """One turn of each player from the weights and draws of a file."""
    jax.config.update("jax_enable_x64", file["real"].dtype == np.float64)
    G, D, later = (
        jax.tree.map(jnp.asarray, measure.layers(file, name)) for name in ("G", "D", "later")
    )
    X, Z = jnp.asarray(file["real"]), jnp.asarray(file["noise"])
    of_D = jax.grad(discriminator_loss)(D, G, X, Z)
    of_G = jax.grad(generator_loss)(G, later, Z)
    return measure.named("D", of_D) | measure.named("G", of_G)


if __name__ == "__main__":
    versions = {"jax": jax.__version__, "optax": optax.__version__}
    measure.main({"step": by_step, "scan": scan}, versions, gradients)
