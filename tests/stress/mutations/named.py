"""Mutants chosen by hand, and those that no test can see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A change of the text in one function.

    Args:
        file: relative to the package.
        function: qualified name; "" for the whole file.
        old: a text that the function has once.
        new: what takes its place.
        tests: files or ids of tests that judge it; if none, the tests that enter the function.
    """

    file: str
    function: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.file}:{self.function} {self.old} -> {self.new}"


FLOORS = (
    "tests/evaluation/test_floors.py::"
    "test_the_floor_of_known_data_is_known_however_bad_the_samples",
)
MODES = "evaluation/metrics/modes.py"
LABELS = "evaluation/metrics/labels.py"
COPYING = "evaluation/metrics/copying.py"
OF_SAMPLES = ("tests/evaluation/test_floors.py::test_no_metric_takes_its_floor_from_the_samples",)
DURABLE = ("tests/test_durable.py",)
STEP = ("tests/gan/test_step.py",)

NAMED = (
    # floors: of the samples themselves, or 0
    Named(LABELS, "cas_score", "taught_by(case.stand_ins[i])", "taught_by(case.fake)", FLOORS),
    Named(LABELS, "cas_score", "taught_by(case.stand_ins[i])", "0.0 * i", FLOORS),
    Named(LABELS, "accuracy", "floor.overall", "seen.overall", FLOORS),
    Named(LABELS, "accuracy", "floor.overall", "0.0", FLOORS),
    Named(LABELS, "worst_class", "share_floor(floor.per_class[", "share_floor(seen.per_class[",
          FLOORS),
    Named(LABELS, "worst_class", "floor.per_class[floor.worst]", "0.0", FLOORS),
    Named(LABELS, "_accuracies", "(found.real, case.real)", "(found.fake, case.fake)", FLOORS),
    Named(MODES, "covered", "x.covered for x", "seen.covered for x", FLOORS),
    Named(MODES, "covered", "x.covered for x", "0.0 for x", FLOORS),
    Named(MODES, "heavy", "x.heavy for x", "seen.heavy for x", FLOORS),
    Named(MODES, "heavy", "x.heavy for x", "0.0 for x", FLOORS),
    Named(MODES, "kl", "x.reverse_kl for x", "0.0 for x", FLOORS),
    Named(MODES, "high_quality", "x.high_quality for x", "0.0 for x", FLOORS),
    Named(MODES, "_both", "count_modes(case.stand_ins[i].values, law)",
          "count_modes(case.fake.values, law)", FLOORS),
    Named(MODES, "_both", "found.classify(case.stand_ins[i].values)", "found.fake", FLOORS),
    Named(COPYING, "copying_score", "cell_scores(real.rows(half), real.rows(rest))",
          "cell_scores(real.rows(half), fake.rows(rest))", OF_SAMPLES),
    Named(COPYING, "copying_score", "np.mean([f.c_t for f in floors])", "0.0", FLOORS),
    Named(COPYING, "authentic_share", "authentic(train, real)", "authentic(train, fake)",
          OF_SAMPLES),
    Named(COPYING, "authentic_share", "authentic(train, real)", "0.0", FLOORS),
    # scores
    Named(COPYING, "cell_scores", "weights.append(len(p))", "weights.append(1)",
          ("tests/evaluation/test_copying.py",)),
    Named(MODES, "from_histogram", "total / (3 * k)", "total / (2 * k)",
          ("tests/evaluation/test_modes.py",)),
    Named("evaluation/metrics/parzen.py", "best_sigma", "np.argmax(means)", "0",
          ("tests/evaluation/test_parzen.py",)),
    Named("evaluation/metrics/parzen.py", "parzen", "best_sigma(centres, validation)",
          "best_sigma(centres, test)", ("tests/evaluation/test_parzen.py",)),
    Named("evaluation/metrics/parzen.py", "parzen", "log_likelihoods(centres, test, sigma)",
          "log_likelihoods(centres, test, 0.3)", ("tests/evaluation/test_parzen.py",)),
    Named("evaluation/features.py", "_resized", "((x - 127) / 128)", "(x / 255)",
          ("tests/evaluation/test_features.py",)),
    # samples
    Named("sampling/sampler.py", "Sampler.z", "stream, first, count", "stream, 0, count",
          ("tests/sampling/test_sampler.py",)),
    # what a crash of the machine may lose
    Named("files.py", "write_file", "os.fsync(file.fileno())", "pass", DURABLE),
    Named("files.py", "sync_folder", "os.fsync(handle)", "pass", DURABLE),
    Named("files.py", "replace_file", "sync_folder(path.parent)", "pass", DURABLE),
    Named("data/formats/packed.py", "write_npy", "os.fsync(file.fileno())", "pass", DURABLE),
    Named("runs/checkpoint.py", "save", "sync_folder(temporary)", "pass", DURABLE),
    Named("runs/checkpoint.py", "save", "sync_folder(folder)", "pass", DURABLE),
    # the step
    Named("gan/optimizers.py", "build", '"weight_decay": choice.weight_decay', '"weight_decay": 0',
          ("tests/gan/test_optimizers.py",)),
    Named("gan/optimizers.py", "adam_step", 'weight_decay=group["weight_decay"]', "weight_decay=0",
          ("tests/gan/test_optimizers.py",)),
    Named("gan/step.py", "apply_gradients", 'norm + update.log[f"loss_{initial}"]', "norm", STEP),
    Named("gan/step.py", "apply_gradients", 'norm + update.log[f"loss_{initial}"]',
          'update.log[f"loss_{initial}"]', STEP),
    Named("gan/step.py", "merge", 'name.startswith("skipped") and name in log', "False", STEP),
    Named("gan/step.py", "steps_for", "math.ceil", "math.floor", STEP),
    Named("gan/adversarial.py", "Adversarial.generator_loss",
          'inputs.networks.get("real")', 'inputs.networks.get("fake")', STEP),
    Named("gan/adversarial.py", "logged_logits",
          "torch.sigmoid(logit)", "logit", STEP),
    # data
    Named("data/dataset.py", "resize", "(h - side) // 2, (w - side) // 2", "0, 0",
          ("tests/data/test_arrays.py", "tests/data/test_images.py")),
    Named("data/dataset.py", "describe_values", "[train[c] for c in blocks(values, len(train))]",
          "[np.arange(len(values))]", ("tests/data/test_arrays.py",)),
    Named("data/decode.py", "_turned", "(5, 6, 7, 8)", "(6, 8)", ("tests/data/test_images.py",)),
)  # fmt: skip

# name of a mutant of `operators` -> why no test can tell it from the code
EQUIVALENTS: dict[str, str] = {
    "evaluation/effnet.py:SameConv.forward axis - 2 -> axis - 3": (
        "every kernel and stride of the network is square"
    ),
    "evaluation/effnet.py:SameConv.forward axis - 2 -> axis - 3 [2]": (
        "every kernel and stride of the network is square"
    ),
    "reproduce/ranking.py:claim t.difference.mean < 0 -> (t.difference.mean <= 0)": (
        "a mean difference of 0 is never significant"
    ),
    'reproduce/translation.py:cyclegan Claim("the cycle helps the GAN", "retrieval", 1, '
    '"GAN+cycle",... -> Claim("the cycle helps the GAN", "retrieval", 2, "GAN+cycle",...': (
        "only the sign of a claim's sign is read"
    ),
    'reproduce/translation.py:pix2pix Claim("skips help", "l1", -1, "L1+cGAN", "L1+cGAN, no '
    'skips") -> Claim("skips help", "l1", -2, "L1+cGAN", "L1+cGAN, no skips")': (
        "only the sign of a claim's sign is read"
    ),
    "runs/checkpoint.py:read_tensors len(data) < 8 -> len(data) < 9": (
        "a file of 8 bytes holds no tensors: safetensors refuses it with a DataError too"
    ),
    "callbacks/display.py:Terminal.panel for wide in (None, 1, None): bar.add_column(no_wrap=True, "
    "ove... -> for wide in (None, 2, None): bar.add_column(no_wrap=True, ove...": (
        "the share of the one column that has a share"
    ),
}
