"""The chapter's Gaussian game in TensorFlow: the eager loop, and compiled with tf.function."""

import tensorflow as tf

from benchmarks.speed.frameworks import measure
from benchmarks.speed.frameworks.measure import BATCH, POINTS, SAMPLES

# a Keras loss computes in a fixed precision, whatever that of the logits
LOSSES = {
    name: tf.keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum", dtype=name)
    for name in ("float32", "float64")
}


def points():
    A, b = tf.constant([[1.0, 2.0], [-0.1, 0.5]]), tf.constant([1.0, 2.0])
    return tf.random.normal((POINTS, 2)) @ A + b


def cross_entropy(target, logits):
    return LOSSES[logits.dtype.name](target, logits)


def dense(units, activation, dtype):
    first = [tf.keras.initializers.RandomNormal(stddev=0.02) for _ in range(2)]
    return tf.keras.layers.Dense(
        units, activation, kernel_initializer=first[0], bias_initializer=first[1], dtype=dtype
    )


def networks(dtype="float32"):
    G = tf.keras.Sequential([dense(2, None, dtype)])
    D = tf.keras.Sequential(
        [dense(5, "tanh", dtype), dense(3, "tanh", dtype), dense(1, None, dtype)]
    )
    for net in (G, D):
        net.build((None, 2))
    return G, D


def discriminator_gradients(X, Z, G, D):
    with tf.GradientTape() as tape:
        real, fake = D(X), D(tf.stop_gradient(G(Z)))
        loss = cross_entropy(tf.ones_like(real), real) + cross_entropy(tf.zeros_like(fake), fake)
        loss = loss / 2
    return loss, tape.gradient(loss, D.trainable_variables)


def generator_gradients(Z, G, D):
    with tf.GradientTape() as tape:
        fake = D(G(Z))
        loss = cross_entropy(tf.ones_like(fake), fake)
    return loss, tape.gradient(loss, G.trainable_variables)


class Game:
    """The players, their optimisers, the data."""

    def __init__(self, seed):
        tf.keras.utils.set_random_seed(seed)
        self.G, self.D = networks()
        self.adam_G = tf.keras.optimizers.Adam(0.005)
        self.adam_D = tf.keras.optimizers.Adam(0.05)
        self.adam_G.build(self.G.trainable_variables)
        self.adam_D.build(self.D.trainable_variables)
        self.data = tf.data.Dataset.from_tensor_slices(points()).shuffle(POINTS).batch(BATCH)

    def step(self, X):
        Z = tf.random.normal(tf.shape(X))
        loss_D, found = discriminator_gradients(X, Z, self.G, self.D)
        self.adam_D.apply_gradients(zip(found, self.D.trainable_variables, strict=True))
        loss_G, found = generator_gradients(Z, self.G, self.D)
        self.adam_G.apply_gradients(zip(found, self.G.trainable_variables, strict=True))
        return loss_D, loss_G

    def epoch(self):
        loss_D, loss_G = tf.constant(0.0), tf.constant(0.0)
        for X in self.data:
            one_D, one_G = self.step(X)
            loss_D, loss_G = loss_D + one_D, loss_G + one_G
        return loss_D / POINTS, loss_G / POINTS


def play(epoch, game, epochs, report):
    for _ in range(epochs):
        loss_D, loss_G = epoch()
        report(loss_D.numpy(), loss_G.numpy())
    return game.G(tf.random.normal((SAMPLES, 2))).numpy()


def eager(seed, epochs, report):
    game = Game(seed)
    return play(game.epoch, game, epochs, report)


def compiled_step(seed, epochs, report):
    game = Game(seed)
    game.step = tf.function(game.step)
    return play(game.epoch, game, epochs, report)


def compiled_epoch(seed, epochs, report):
    game = Game(seed)
    return play(tf.function(game.epoch), game, epochs, report)


def gradients(file):
    """One turn of each player from the weights and draws of a file."""
    G, D = networks(file["real"].dtype.name)
    X, Z = tf.constant(file["real"]), tf.constant(file["noise"])
    put(G, measure.layers(file, "G"))
    put(D, measure.layers(file, "D"))
    _, of_D = discriminator_gradients(X, Z, G, D)
    put(D, measure.layers(file, "later"))
    _, of_G = generator_gradients(Z, G, D)
    return measure.named("D", pairs(of_D)) | measure.named("G", pairs(of_G))


def put(net, layers):
    net.set_weights([array for layer in layers for array in layer])


def pairs(found):
    return [(w.numpy(), b.numpy()) for w, b in zip(found[::2], found[1::2], strict=True)]


if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    plays = {"eager": eager, "step": compiled_step, "epoch": compiled_epoch}
    measure.main(plays, {"tensorflow": tf.__version__}, gradients)
