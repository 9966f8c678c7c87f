"""The checks: each a function of a run's figures, its docstring what `--explain` prints.

A docstring says what it is, why it is bad, and what to do. The bounds were set on half of the
runs of `clinic/`, and what they find and miss is measured on the other half: docs/diagnosis.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

Figures = Mapping[str, float]


def beside(f: Figures) -> str:
    """By how many samples and real examples a figure was found, and with which seed."""
    if "looked" not in f:
        return ""
    return f" ({f['looked']:,.0f} samples and as many held-out examples, seed 0)"


class Complaint(NamedTuple):
    """What a check says where it holds: the figures in a line, and one thing to do."""

    evidence: str
    remedy: str
    figures: tuple[str, ...]


Check = Callable[[Figures], Complaint | None]

BOUNDS: dict[str, float] = {
    "alike": 0.4,  # distance of samples, to the next or to all, of that of real examples
    "collapsed": 0.5,  # of the real data, in groups that hardly any sample falls into
    "least": 0.08,  # of its due that a group must hold
    "absent_cells": 0.3,  # of the real data, in cells of which samples hold under a tenth
    "slope": 0.2,  # of the generator's loss in D's logit
    "d_cost": 0.02,  # D's loss, of what guessing costs
    "memory": 0.6,  # chance that D rates a training example above a held-out one
    "by_heart": 0.5,  # of what parts training examples from fakes, lost on held-out ones
    "behind": 0.6,  # of the records in which D rates fakes above real examples
    "d_wrong": 1.006,  # D's loss, of what guessing costs
    "flips": 10,  # changes of sign of D's verdict in half a log
    "swing": 0.3,  # size of that verdict, in logits
    "swing_memory": 0.3,  # correlation from record to record
    "skipped": 0.001,  # of all updates
    "cost_peak": 4,  # D's largest loss, of what guessing costs
    "growth": 20,  # of the spectral norm of a weight of D since the start
    "dead": 0.5,  # of a layer's units
    "label_effect": 0.25,  # of what labels explain in the real data
    "label_floor": 0.01,  # of the real examples' variance, that labels must explain
    "label_accuracy": 0.2,  # of samples that show what was asked for
    "c_t": -1.5,  # z score of distances to the training data
    "copied": 0.02,  # of the samples, nearer to the training data than 99 % of the held-out are
    "authentic": 0.9,  # of its value on held-out examples
    "per_feature": 1.5,  # samples, for each number in a feature
    "n": 300,
    "worse": 2.0,  # of the best distance, five floors added to both
    "since_best": 3,  # scores
}


def alike(f: Figures) -> bool:
    """Whether samples lie much nearer to each other, or to the next, than real examples do."""
    return min(f.get("near", 1.0), f.get("spread", 1.0)) < BOUNDS["alike"]


def mode_collapse(f: Figures) -> Complaint | None:
    """What it is: the generator makes a few pictures again and again, whatever its noise. Samples
    are much nearer to each other than real examples are, cover little of the data, or leave out
    most of its classes or modes.

    Why it is bad: D learns that those few are fake, G moves all its mass to the next few, and the
    game goes in circles without learning the data. It does not show in the losses.

    What to do: let the loss compare real and fake in pairs and punish steep discriminators, the
    default recipe's game: `--game.loss relativistic` with R1 and R2 penalties. Where G takes more
    steps than D, give both one; where D cannot tell fakes apart, give it a higher rate.
    """
    near, spread = f.get("near", 1.0), f.get("spread", 1.0)
    missing = 0.0 if f.get("cells") else f.get("missing", 0.0)
    if not (missing >= BOUNDS["collapsed"] or alike(f)):
        return None
    told = (
        f"samples lie {spread:.2g} times as far apart as real examples (nearest neighbours "
        f"{near:.2g} times), and cover {f.get('coverage', 0):.2f} of the data, where real examples "
        f"cover {f.get('coverage_floor', 1):.2f}"
    )
    if missing > 0:
        told += f"; groups that make {missing:.0%} of the data are hardly reached"
    remedy = "train with --game.loss relativistic and R1 + R2, as the recipe cdcgan does"
    return Complaint(
        told + beside(f), remedy, ("coverage", "coverage_floor", "near", "spread", "missing")
    )


def partial_collapse(f: Figures) -> Complaint | None:
    """What it is: some classes (for labelled data the classifier knows), known modes, or groups of
    the data have nearly no samples, the others are well.

    Why it is bad: what is missing stays missing: no gradient tells G of what it never makes. The
    samples look fine one by one, and it does not show in the losses.

    What to do: see which it is (a class or mode is named), and whether the training data hold
    enough of it. A larger batch makes D notice a rare class; a conditional recipe (`cdcgan`) asks
    for each class.
    """
    if mode_collapse(f) is not None or not f.get("least", 1.0) < BOUNDS["least"]:
        return None
    if f.get("cells") and f.get("absent", 0.0) < BOUNDS["absent_cells"]:
        return None  # cells are no classes: one of them is easily missed
    rarest = "a group of the data"
    if "rarest" in f and not f.get("cells"):
        rarest = f"{'mode' if f.get('modes') else 'class'} {f['rarest']:.0f}"
    told = f"{rarest} has {f['least']:.0%} of the samples due to it"
    if f.get("absent"):
        told += f"; groups that make {f['absent']:.0%} of the data have under a tenth of theirs"
    remedy = (
        "ask for each class: train a conditional recipe, as cdcgan"
        if f.get("askable")
        else "look for it in the training data, and take a larger --batch"
    )
    return Complaint(told + beside(f), remedy, ("least", "rarest", "missing", "absent", "groups"))


def saturated(f: Figures) -> Complaint | None:
    """What it is: D tells real from fake without any doubt. With the loss of the first GAN paper
    (minimax) the generator's gradient then vanishes: its slope is D(G(z)) itself. With other
    losses the slope stays, but a D that is sure of everything points nowhere in particular.

    Why it is bad: G stops learning, or learns from noise, and D's loss of 0 looks like a success.

    What to do: use the non-saturating or the relativistic loss; give D a lower rate, fewer steps,
    or a penalty on its gradient (R1). Look whether G moves at all (its rate, its gradient).
    """
    slope, cost = f.get("g_slope", 1.0), f.get("d_cost", 1.0)
    if not (slope < BOUNDS["slope"] or cost < BOUNDS["d_cost"]):
        return None
    told = (
        f"D's loss is {cost:.2g} of what guessing costs, its logits part real from fake by "
        f"{f.get('gap', 0):.3g}; the slope of G's loss is {slope:.2g}"
    )
    vanished = slope < BOUNDS["slope"]
    remedy = (
        "train with --game.loss non-saturating, whose slope does not vanish"
        if vanished
        else "hold D back: a lower --discriminator.lr, fewer --game.d_steps, or an R1 penalty"
    )
    return Complaint(told, remedy, ("d_cost", "g_slope", "gap", "gradient_g"))


def memorising(f: Figures) -> Complaint | None:
    """What it is: D knows its training examples by heart: it rates them above real examples that
    it has not seen, which it takes for fakes.

    Why it is bad: G is told to copy the training set, and everything else real is wrong. It comes
    with few training examples or long training; the first sign is a falling D loss while samples
    get no better.

    What to do: more data, or augmentation of what there is; else a smaller D, R1 with a larger
    gamma, or an earlier stop by scores on held-out examples (`--every 1 --stop auto`).
    """
    memory, lost = f.get("memory", 0.5), f.get("by_heart", 0.0)
    if not (memory > BOUNDS["memory"] and lost > BOUNDS["by_heart"]):
        return None
    told = (
        f"D rates a training example above a held-out one in {memory:.0%} of pairs (50 % without "
        f"memory); logits: training {f['logit_train']:.2f}, held-out {f['logit_held']:.2f}, fakes "
        f"{f['logit_fresh']:.2f}{beside(f)}"
    )
    remedy = "add training examples, or stop earlier: --every 1 --stop auto"
    figures = ("memory", "by_heart", "logit_train", "logit_held", "logit_fresh")
    return Complaint(told, remedy, figures)


def balance_lost(f: Figures) -> Complaint | None:
    """What it is: the generator is ahead: at each of its turns D rates the fakes above the real
    examples, so its verdict is worse than a guess.

    Why it is bad: G's gradient comes from a D that is wrong. G runs after whatever D likes at the
    moment, and mode collapse follows.

    What to do: one generator step to one of D (`--game.g_steps 1`), or more D steps; a higher rate
    for D, or a lower one for G.
    """
    behind, cost = f.get("behind", 0.0), f.get("d_cost", 0.0)
    if not (behind > BOUNDS["behind"] and cost > BOUNDS["d_wrong"]):
        return None
    told = (
        f"D's loss is {cost:.2f} times what guessing costs, and it rates fakes above real examples "
        f"in {behind:.0%} of the last records (gap {f.get('gap', 0):.3g})"
    )
    remedy = (
        "give D more to say: --game.g_steps 1, more --game.d_steps or a higher --discriminator.lr"
    )
    return Complaint(told, remedy, ("behind", "d_cost", "gap"))


def oscillation(f: Figures) -> Complaint | None:
    """What it is: the players go round each other: D rates real above fake, then fake above real,
    and so on, in swings longer than a log record.

    Why it is bad: the game does not converge; how good the samples are depends on the moment at
    which it is stopped.

    What to do: punish D's gradient (R1, or a gradient penalty for the Wasserstein loss), take less
    momentum (Adam's first beta 0 or 0.5), lower rates that fall to 0, and an averaged generator
    (`--ema 0.998`).
    """
    flips, rms, memory = f.get("flips", 0.0), f.get("gap_rms", 0.0), f.get("gap_memory", 0.0)
    swings = flips >= BOUNDS["flips"] and rms > BOUNDS["swing"]
    if not (swings and memory > BOUNDS["swing_memory"]):
        return None
    told = (
        f"D's verdict changed sides {flips:.0f} times in the last half of the log, by {rms:.2f} "
        "logits"
    )
    remedy = "add an R1 penalty to the game and an averaged generator (--ema 0.998)"
    return Complaint(told, remedy, ("flips", "gap_rms", "gap_memory"))


def not_finite(f: Figures) -> Complaint | None:
    """What it is: losses, gradients or weights became NaN or infinite; updates were left out, the
    run went back to a checkpoint, or it ended there.

    Why it is bad: from the first weight that is not a number on, everything is none. Single
    updates left out do no harm by themselves, but announce it.

    What to do: a lower rate for the player that the message names; `--precision fp32`; a penalty
    for D; `--on-nan rollback` goes back and halves the rates by itself.
    """
    told = []
    if f.get("diverged"):
        told.append("the run diverged")
    if f.get("rolled_back", 0) > 0:
        told.append(f"it went back to a checkpoint {f['rolled_back']:.0f} times")
    if f.get("skipped", 0.0) > BOUNDS["skipped"]:
        told.append(f"{f['skipped']:.2%} of the updates were left out")
    if f.get("infinite", 0.0) > 0:
        told.append(f"{f['infinite']:.1%} of the log records hold a loss that is not finite")
    if f.get("finite", 1.0) < 1 or f.get("finite_samples", 1.0) < 1:
        told.append("weights or samples are not finite")
    if not told:
        return None
    remedy = "lower both rates to a third, or train with --on-nan rollback"
    return Complaint("; ".join(told), remedy, ("diverged", "skipped", "infinite", "rolled_back"))


def dead_or_exploding(f: Figures) -> Complaint | None:
    """What it is: units of a hidden layer that give the same to every input, so that no gradient
    passes them; or a D that was far more wrong than a guess, or whose weights (their spectral
    norms) have grown many times over.

    Why it is bad: a network of dead units cannot learn any more; one that explodes has lost what
    it had learned, and the next leap may be to NaN.

    What to do: lower rates (a third, then a tenth); leaky units instead of ReLU
    (`--networks.generator_activation leaky`); batch norm in G; a penalty on D's gradient.
    """
    gone = max(f.get("dead_d", 0.0), f.get("dead_g", 0.0))
    peak, growth = f.get("cost_peak", 1.0), f.get("growth_d", 1.0)
    told = []
    if gone > BOUNDS["dead"]:
        player = "D" if f.get("dead_d", 0.0) >= f.get("dead_g", 0.0) else "G"
        told.append(f"{gone:.0%} of the units of a layer of {player} are dead")
    if peak > BOUNDS["cost_peak"]:
        told.append(f"D's loss rose to {peak:.3g} times what guessing costs")
    if growth > BOUNDS["growth"]:
        told.append(
            f"a weight of D has grown to {growth:.3g} times its spectral norm (largest norm: "
            f"D {f.get('sigma_d', 0):.3g}, G {f.get('sigma_g', 0):.3g})"
        )
    if not told:
        return None
    figures = ("dead_d", "dead_g", "cost_peak", "growth_d", "growth_g", "sigma_d", "sigma_g")
    return Complaint("; ".join(told), "lower both learning rates to a third", figures)


def labels_ignored(f: Figures) -> Complaint | None:
    """What it is: a conditional generator whose samples do not depend on the label, or not as the
    data's do.

    Why it is bad: asking for a class gives any class; the labels are noise to both players.

    What to do: first look whether the labels of the data are right (`ganforge data show`): where
    they explain nothing of the real pictures either, they are not. Else let D read the label by
    projection (`--networks.label projection`), and draw the fakes' labels as the data's are
    (`--game.fake_labels data`).
    """
    effect, real = f.get("label_effect"), f.get("label_effect_real")
    if effect is None or real is None:
        return None
    accuracy = f.get("label_accuracy", 1.0)
    wrong = real < BOUNDS["label_floor"]
    little = effect < BOUNDS["label_effect"] * real
    if not (wrong or little or accuracy < BOUNDS["label_accuracy"]):
        return None
    told = (
        f"labels explain {max(effect, 0):.0%} of the samples' variance, and {max(real, 0):.0%} of "
        "the real examples'"
    )
    if "label_accuracy" in f:
        told += f"; {accuracy:.0%} of the samples show what was asked for"
    told += beside(f)
    remedy = (
        "check the data's labels: they explain nothing of the real examples either"
        if wrong
        else "let D read the labels by projection: --networks.label projection"
    )
    return Complaint(told, remedy, ("label_effect", "label_effect_real", "label_accuracy"))


def copying(f: Figures) -> Complaint | None:
    """What it is: samples lie on training examples: nearer to them than examples that were held
    out, and nearer than training examples lie to each other.

    Why it is bad: nothing was learned but the training set; sharing the model shares the data.
    Frechet distance and precision hardly notice.

    What to do: more data or augmentation; a smaller generator; an earlier stop, by scores on
    held-out examples. Look at the neighbours, picture beside picture.
    """
    share = f.get("authentic", 1.0) / max(f.get("authentic_held", 1.0), 1e-9)
    near = f.get("c_t", 0.0) < BOUNDS["c_t"] or f.get("copied", 0.0) > BOUNDS["copied"]
    if not (near and share < BOUNDS["authentic"]):
        return None
    if alike(f):  # the distance of one picture, again and again
        return None
    data = "the training data"
    if "known" in f:
        data += f" ({f['known']:,.0f} examples of them)"
    told = (
        f"{f.get('copied', 0.0):.1%} of the samples are nearer to {data} than 99 % of the held-out "
        f"examples, {f['authentic']:.0%} are no copies (held-out {f['authentic_held']:.0%}); "
        f"distances differ by {f['c_t']:.1f} standard errors{beside(f)}"
    )
    remedy = (
        "add training examples or augment them, and stop by held-out scores: --every 1 --stop auto"
    )
    return Complaint(told, remedy, ("c_t", "authentic", "authentic_held", "copied"))


def too_few(f: Figures) -> Complaint | None:
    """What it is: the newest scores are of so few samples that they say little: the Frechet
    distance fits a covariance with F (F + 1) / 2 numbers to N examples.

    Why it is bad: the distance of two sets of real examples is then as large as that of a bad
    generator, differences between runs are noise, and the best checkpoint is chosen by chance.

    What to do: `ganforge evaluate RUN -n 10000`; where there are not that many examples, hold out
    more of them, or compare only scores of the same N that differ by several spreads.
    """
    if "n" not in f or not f["n"] < max(BOUNDS["n"], BOUNDS["per_feature"] * f["features"]):
        return None
    told = (
        f"scored on N = {f['n']:.0f} examples in {f['features']:.0f} dimensions: Frechet distance "
        f"{f['value']:.4g}, real against real {f['floor']:.4g}"
    )
    return Complaint(
        told, "score more: ganforge evaluate RUN -n 10000", ("n", "features", "value", "floor")
    )


def past_its_best(f: Figures) -> Complaint | None:
    """What it is: the score on held-out examples was best some scores ago, and has become much
    worse since.

    Why it is bad: the newest model is not the one to take, and what came after was time spent on
    making it worse: by memorising, oscillation or collapse.

    What to do: take the model in best/, which was kept, and end such runs by `--stop auto`.
    """
    if not (
        f.get("worse", 1.0) > BOUNDS["worse"] and f.get("since_best", 0) >= BOUNDS["since_best"]
    ):
        return None
    told = (
        f"the best Frechet distance was {f['best']:.4g}, at epoch {f['best_epoch']:.1f}; "
        f"{f['since_best']:.0f} scores later it is {f['now']:.4g} (validation split, "
        f"N = {f.get('curve_n', 0):.0f}, seed 0; real against real {f['curve_floor']:.4g})"
    )
    remedy = "take the model in best/, and end such runs with --stop auto"
    return Complaint(
        told, remedy, ("best", "now", "best_epoch", "since_best", "worse", "curve_floor")
    )
