"""The checks: what can be wrong with a run, how it is seen, why it is bad, what to do.

A check is a function of a run's figures. Its keyword arguments are its limits, its docstring is
what `ganforge diagnose --explain` prints, and its line in `CHECKS` is all else there is to it.
The limits were set on half of the runs of `benchmarks/diagnosis`; docs/diagnosis.md says what the
checks find and miss in the other half.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ganforge.diagnosis.remedies import (
    AVERAGE,
    LESS_CYCLE,
    LESS_IDENTITY,
    LONGER,
    LOWER_D,
    LOWER_G,
    LOWER_RATES,
    MORE_CYCLE,
    MORE_L1,
    ONE_STEP,
    PAIRS,
    PENALTIES,
    RELATIVISTIC,
    SEE_SOURCE,
    SHORTER,
    STOP,
    Change,
)
from ganforge.errors import choice

ALIKE = 0.4  # limit of three checks: distance between samples, divided by that of real examples


class Figures(dict[str, float]):
    """Figures by name; a missing one is nan, which is neither above nor below any limit."""

    def __missing__(self, name: str) -> float:
        return math.nan


class Complaint(NamedTuple):
    """What a check says if something is wrong.

    evidence: one line with figures. remedy: things to do, the best one first. figures: names of
    those that the evidence rests on.
    """

    evidence: str
    remedy: tuple[Change, ...]
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong with a run.

    Args:
        name: in words.
        needs: groups of signals, any of which is enough; () if the check is always made.
        function: figures to a complaint, or to None.
        picture: the drawing of `show.DRAWINGS` that is evidence, or "".
        about_scores: the check is about the scores of a run, not about the run.
        early: the check means something from the first step on.
    """

    name: str
    needs: tuple[str, ...]
    function: Callable[..., Complaint | None]
    picture: str = ""
    about_scores: bool = False
    early: bool = False

    @property
    def limits(self) -> dict[str, float]:
        """The limits of the function, by name."""
        return dict(self.function.__kwdefaults__ or {})

    @property
    def explanation(self) -> str:
        """What it is, why it is bad, what to do."""
        return inspect.getdoc(self.function) or ""


def sample_count(f: Figures) -> str:
    """How many samples and real examples were compared, and the seed."""
    if "samples" not in f:
        return ""
    return f" ({f['samples']:,.0f} samples and as many held-out examples, seed 0)"


def alike(f: Figures, limit: float) -> bool:
    """Whether samples lie much nearer to each other than real examples do."""
    return min(f["near"], f["spread"]) < limit


def mode_collapse(
    f: Figures,
    *,
    alike_below: float = ALIKE,
    missing: float = 0.5,  # share of the real data in groups with hardly any samples
) -> Complaint | None:
    """What it is: the generator makes a few pictures again and again, whatever its noise. Samples
    are much nearer to each other than real examples are, cover little of the data, or leave out
    most of its classes or modes.

    Why it is bad: D learns that those few are fake, G moves all its mass to the next few, and the
    game goes in circles without learning the data. The losses do not show it.

    What to do: let the loss compare real and fake in pairs and punish steep discriminators, as the
    default recipe does: `--game.loss relativistic` with R1 and R2 penalties. If G takes more steps
    than D, give both one; if D cannot tell fakes from real examples, give it a higher rate.
    """
    lost = 0.0 if f["cells"] > 0 else f["missing"]
    if not (lost >= missing or alike(f, alike_below)):
        return None
    evidence = (
        f"samples lie {f['spread']:.2g} times as far apart as real examples (nearest neighbours "
        f"{f['near']:.2g} times) and cover {f['coverage']:.2f} of the data, real examples "
        f"{f['coverage_floor']:.2f}"
    )
    if lost > 0:
        evidence += f"; groups that make up {lost:.0%} of the data have hardly any samples"
    return Complaint(
        evidence + sample_count(f),
        (ONE_STEP, PAIRS, RELATIVISTIC, PENALTIES, LOWER_RATES),
        ("coverage", "coverage_floor", "near", "spread", "missing"),
    )


def partial_collapse(
    f: Figures,
    *,
    least: float = 0.08,  # share of the expected samples that every group must have
    absent_cells: float = 0.3,  # share of the real data in cells with hardly any samples
) -> Complaint | None:
    """What it is: some classes (of labelled data that the classifier knows), known modes, or groups
    of the data have nearly no samples; the others are well covered.

    Why it is bad: what is missing stays missing, as no gradient tells G of what it never makes. The
    samples look fine one by one, and the losses do not show it.

    What to do: see which class or mode it is, and whether the training data hold enough of it. With
    a larger batch D notices a rare class; a conditional recipe (`cdcgan`) makes each class on
    request.
    """
    if mode_collapse(f) is not None or not f["least"] < least:
        return None
    if f["cells"] > 0 and f["absent"] < absent_cells:
        return None  # cells are no classes: one of them is easily missed
    rarest = "a group of the data"
    if "rarest" in f and not f["cells"] > 0:
        rarest = f"{'mode' if f['modes'] > 0 else 'class'} {f['rarest']:.0f}"
    evidence = f"{rarest} has {f['least']:.0%} of the samples expected of it"
    if f["absent"] > 0:
        evidence += f"; groups that make up {f['absent']:.0%} of the data have less than a tenth"
    larger = Change("try a larger batch, in which D sees rare examples", (("batch", "/0.5"),))
    on_request = Change("make each class on request", (("labels", "true"),))
    remedy = (on_request, larger) if f["labels_available"] > 0 else (larger,)
    figures = ("least", "rarest", "missing", "absent", "groups")
    return Complaint(evidence + sample_count(f), remedy, figures)


def saturated(
    f: Figures,
    *,
    g_slope: float = 0.2,  # of the generator's loss in D's logit
    d_cost: float = 0.02,  # D's loss, divided by the loss of guessing
) -> Complaint | None:
    """What it is: D tells real from fake without any doubt. With the loss of the first GAN paper
    (minimax) the generator's gradient then vanishes: its slope is D(G(z)) itself. With other
    losses the slope stays, but a D that is sure of everything points nowhere in particular.

    Why it is bad: G stops learning, or learns from noise, and D's loss of 0 looks like a success.

    What to do: use the non-saturating or the relativistic loss; give D a lower rate, fewer steps,
    or a penalty on its gradient (R1). See whether G moves at all (its rate, its gradient).
    """
    if not (f["g_slope"] < g_slope or f["d_cost"] < d_cost):
        return None
    evidence = (
        f"D's loss is {f['d_cost']:.2g} times the loss of guessing, its logits of real and fake "
        f"differ by {f['gap']:.3g}; the slope of G's loss is {f['g_slope']:.2g}"
    )
    other_loss = Change(
        "use a loss whose slope does not vanish", (("game.loss", "non-saturating"),)
    )
    one = Change("give D one step to one of G", (("game.d_steps", "1"),))
    remedy = (*((other_loss,) if f["g_slope"] < g_slope else ()), one, LOWER_D)
    return Complaint(evidence, remedy, ("d_cost", "g_slope", "gap", "gradient_g"))


def memorising(
    f: Figures,
    *,
    memory: float = 0.6,  # P(D rates a training example above a held-out one)
    by_heart: float = 0.5,  # share of D's margin over fakes that held-out examples lack
) -> Complaint | None:
    """What it is: D knows its training examples by heart: it rates them above real examples that
    it has not seen, and takes those for fakes.

    Why it is bad: D teaches G to copy the training set, and calls everything else that is real
    wrong. It comes with few training examples or long training; the first sign is a falling D loss
    while samples get no better.

    What to do: more data, or augmentation; else a smaller D, R1 with a larger gamma, or an earlier
    stop by scores on held-out examples (`--every 1 --stop auto`).
    """
    if not (f["memory"] > memory and f["by_heart"] > by_heart):
        return None
    evidence = (
        f"D rates a training example above a held-out one in {f['memory']:.0%} of pairs (50 % "
        f"without memory); logits: training {f['logit_train']:.2f}, held-out "
        f"{f['logit_held_out']:.2f}, fakes {f['logit_fresh']:.2f}{sample_count(f)}"
    )
    figures = ("memory", "by_heart", "logit_train", "logit_held_out", "logit_fresh")
    remedy = (STOP, PENALTIES, *SHORTER)
    return Complaint(evidence, remedy, figures)


def balance_lost(
    f: Figures,
    *,
    behind: float = 0.6,  # share of records in which D rates fakes above real examples
    d_cost: float = 1.006,  # D's loss, divided by the loss of guessing
) -> Complaint | None:
    """What it is: the generator is ahead: at each of its turns D rates the fakes above the real
    examples, so D is worse than a guess.

    Why it is bad: G's gradient comes from a D that is wrong. G runs after whatever D likes at the
    moment, and mode collapse follows.

    What to do: one generator step to one of D (`--game.g_steps 1`), or more D steps; a higher rate
    for D, or a lower one for G.
    """
    if not (f["behind"] > behind and f["d_cost"] > d_cost):
        return None
    evidence = (
        f"D's loss is {f['d_cost']:.2f} times the loss of guessing, and D rates fakes above real "
        f"examples in {f['behind']:.0%} of the last records (gap {f['gap']:.3g})"
    )
    remedy = (ONE_STEP, LOWER_G)
    return Complaint(evidence, remedy, ("behind", "d_cost", "gap"))


def oscillation(
    f: Figures,
    *,
    flips: float = 10,  # changes of the gap's sign in half a log
    gap_rms: float = 0.3,  # size of the gap, in logits
    gap_memory: float = 0.3,  # correlation of the gap from record to record
) -> Complaint | None:
    """What it is: the players circle each other: D rates real above fake, then fake above real,
    and so on, in swings longer than a log record.

    Why it is bad: the game does not converge; how good the samples are depends on the moment at
    which training stops.

    What to do: punish D's gradient (R1, or a gradient penalty for the Wasserstein loss), use less
    momentum (Adam's first beta 0 or 0.5), lower rates that fall to 0, and an averaged generator
    (`--ema 0.998`).
    """
    if not (f["flips"] >= flips and f["gap_rms"] > gap_rms and f["gap_memory"] > gap_memory):
        return None
    evidence = (
        f"D changed sides {f['flips']:.0f} times in the last half of the log, by "
        f"{f['gap_rms']:.2f} logits"
    )
    remedy = (PENALTIES, AVERAGE, LOWER_RATES)
    return Complaint(evidence, remedy, ("flips", "gap_rms", "gap_memory"))


def not_finite(
    f: Figures,
    *,
    skipped: float = 0.001,  # share of all updates
) -> Complaint | None:
    """What it is: losses, gradients or weights became NaN or infinite; updates were skipped, the
    run went back to a checkpoint, or it ended there.

    Why it is bad: once one weight is not a number, soon none is. Single skipped updates do no harm
    by themselves, but they are a warning.

    What to do: a lower rate for the player that the message names; `--precision fp32`; a penalty
    for D; `--on-nan rollback` goes back and halves the rates by itself.
    """
    evidence = []
    if f["diverged"] > 0:
        evidence.append("the run diverged")
    if f["rolled_back"] > 0:
        evidence.append(f"it went back to a checkpoint {f['rolled_back']:.0f} times")
    if f["skipped"] > skipped:
        evidence.append(f"{f['skipped']:.2%} of the updates were skipped")
    if f["infinite"] > 0:
        evidence.append(f"{f['infinite']:.1%} of the log records hold a loss that is not finite")
    if f["finite"] < 1 or f["finite_samples"] < 1:
        evidence.append("weights or samples are not finite")
    if not evidence:
        return None
    return Complaint(
        "; ".join(evidence), (LOWER_RATES,), ("diverged", "skipped", "infinite", "rolled_back")
    )


def dead_or_exploding(
    f: Figures,
    *,
    dead: float = 0.5,  # share of a layer's units
    cost_peak: float = 4,  # D's largest loss, divided by the loss of guessing
    growth: float = 20,  # of the spectral norm of a weight of D since the first step
) -> Complaint | None:
    """What it is: units of a hidden layer have the same output for every input, so that no gradient
    passes them; or D was far more wrong than a guess, or its weights (their spectral norms) have
    grown many times over.

    Why it is bad: a network of dead units cannot learn any more; one that explodes has lost what
    it had learned, and the next leap may be to NaN.

    What to do: lower rates (a third, then a tenth); leaky units instead of ReLU
    (`--networks.generator_activation leaky`); batch norm in G; a penalty on D's gradient.
    """
    dead_d, dead_g = f.get("dead_d", 0.0), f.get("dead_g", 0.0)
    evidence = []
    if max(dead_d, dead_g) > dead:
        player = "D" if dead_d >= dead_g else "G"
        evidence.append(f"{max(dead_d, dead_g):.0%} of the units of a layer of {player} are dead")
    if f["cost_peak"] > cost_peak:
        evidence.append(f"D's loss rose to {f['cost_peak']:.3g} times the loss of guessing")
    if f["growth_d"] > growth:
        evidence.append(
            f"a weight of D has grown to {f['growth_d']:.3g} times its spectral norm (largest norm:"
            f" D {f['sigma_d']:.3g}, G {f['sigma_g']:.3g})"
        )
    if not evidence:
        return None
    figures = ("dead_d", "dead_g", "cost_peak", "growth_d", "growth_g", "sigma_d", "sigma_g")
    return Complaint("; ".join(evidence), (LOWER_RATES,), figures)


def labels_ignored(
    f: Figures,
    *,
    effect: float = 0.25,  # of labels on samples, divided by that on the real data
    floor: float = 0.01,  # share of the real examples' variance that labels must explain
    accuracy: float = 0.2,  # share of samples of the requested class
) -> Complaint | None:
    """What it is: the samples of a conditional generator do not depend on the label, or not as the
    data do.

    Why it is bad: a request for a class gives any class; the labels are noise to both players.

    What to do: first see whether the labels of the data are right (`ganforge data show`): if they
    explain nothing of the real pictures either, they are wrong. Else let D read the label by
    projection (`--networks.label projection`), and draw the fakes' labels as the data's are
    (`--game.fake_labels data`).
    """
    of_samples, of_real = f["label_effect"], f["label_effect_real"]
    wrong = of_real < floor
    if not (wrong or of_samples < effect * of_real or f["label_accuracy"] < accuracy):
        return None
    evidence = (
        f"labels explain {max(of_samples, 0):.0%} of the samples' variance, and "
        f"{max(of_real, 0):.0%} of the real examples'"
    )
    if "label_accuracy" in f:
        evidence += f"; {f['label_accuracy']:.0%} of the samples show the requested class"
    look = Change(
        "check the data's labels, which explain nothing of the real examples either",
        command="ganforge data show {data}",
    )
    remedy = (look,) if wrong else (
        Change("let D read the labels by projection", (("networks.label", "projection"),)),
        Change("draw the fakes' labels as the data's are", (("game.fake_labels", "data"),)),
        Change("let D classify too", (("game.classify", "1.0"),)),
        LOWER_D,
    )  # fmt: skip
    figures = ("label_effect", "label_effect_real", "label_accuracy")
    return Complaint(evidence + sample_count(f), remedy, figures)


def copying(
    f: Figures,
    *,
    c_t: float = -1.5,  # z score of distances to the training data
    copied: float = 0.02,  # share of samples nearer to the data than 99 % of held-out examples
    authentic: float = 0.9,  # share of authentic samples, divided by that of held-out examples
    alike_below: float = ALIKE,
) -> Complaint | None:
    """What it is: samples lie on training examples: nearer to them than held-out examples are, and
    nearer than training examples lie to each other.

    Why it is bad: nothing was learned but the training set, and to share the model is to share the
    data. Frechet distance and precision hardly notice.

    What to do: more data or augmentation; a smaller generator; an earlier stop, by scores on
    held-out examples. Look at samples beside their nearest training examples.
    """
    share = f["authentic"] / max(f["authentic_held_out"], 1e-9)
    near = f["c_t"] < c_t or f["copied"] > copied
    if not (near and share < authentic):
        return None
    if alike(f, alike_below):  # one picture again and again: its distance says nothing
        return None
    data = "the training data"
    if "searched" in f:
        data += f" ({f['searched']:,.0f} examples of them)"
    evidence = (
        f"{f['copied']:.1%} of the samples are nearer to {data} than 99 % of the held-out "
        f"examples, {f['authentic']:.0%} are no copies (held-out {f['authentic_held_out']:.0%}); "
        f"distances differ by {f['c_t']:.1f} standard errors{sample_count(f)}"
    )
    remedy = (STOP, *SHORTER)
    return Complaint(evidence, remedy, ("c_t", "authentic", "authentic_held_out", "copied"))


def too_few(
    f: Figures,
    *,
    n: float = 300,
    per_feature: float = 1.5,  # samples, divided by the numbers in a feature
) -> Complaint | None:
    """What it is: the newest scores are of so few samples that they say little: the Frechet
    distance fits a covariance with F (F + 1) / 2 numbers to N examples.

    Why it is bad: the distance of two sets of real examples is then as large as that of a bad
    generator, differences between runs are noise, and the best checkpoint is chosen by chance.

    What to do: score more samples (`ganforge evaluate RUN -n N`); if there are no more held-out
    examples, use the kernel distance, whose mean does not depend on N, and compare only scores
    that differ by several spreads.
    """
    enough = max(n, per_feature * f["features"])
    if not f["n"] < enough:
        return None
    evidence = (
        f"scored on N = {f['n']:.0f} examples in {f['features']:.0f} dimensions: Frechet distance "
        f"{f['value']:.4g}, real against real {f['floor']:.4g}"
    )
    kernel = "ganforge evaluate {run} --split validation --metrics kernel,precision,recall"
    remedy = Change("if no more examples are held out, use the kernel distance", command=kernel)
    if f["held_out"] >= enough:
        more = f"ganforge evaluate {{run}} --split validation -n {f['held_out']:.0f}"
        remedy = Change("score more samples", command=more)
    return Complaint(evidence, (remedy,), ("n", "features", "value", "floor"))


def past_its_best(
    f: Figures,
    *,
    worse: float = 2.0,  # newest distance divided by the best one, five floors added to both
    since_best: float = 3,  # scores
) -> Complaint | None:
    """What it is: the score on held-out examples was best some scores ago, and has become much
    worse since.

    Why it is bad: the newest model is not the one to use, and the time after the best score was
    spent on making it worse: by memorising, oscillation or collapse.

    What to do: use the model in best/, the best one so far, and end such runs by `--stop auto`.
    """
    if not (f["worse"] > worse and f["since_best"] >= since_best):
        return None
    evidence = (
        f"the best Frechet distance was {f['best']:.4g}, at epoch {f['best_epoch']:.1f}; "
        f"{f['since_best']:.0f} scores later it is {f['now']:.4g} (validation split, "
        f"N = {f['curve_n']:.0f}, seed 0; real against real {f['curve_floor']:.4g})"
    )
    best = Change("use the best model", command="ganforge evaluate {run}/best")
    figures = ("best", "now", "best_epoch", "since_best", "worse", "curve_floor")
    return Complaint(evidence, (best,), figures)


def ignores_source(
    f: Figures,
    *,
    target_above: float = 0.75,  # difference to the source's target, divided by that to others
    retrieval_below: float = 0.15,  # share of translations that are nearest to their target
) -> Complaint | None:
    """What it is: a translator's pictures are hardly nearer to the target of their source than to
    any other target: they do not depend on what they are made from.

    Why it is bad: the pictures may look real and translate nothing. D does not mind, if it does not
    see the source.

    What to do: let D see the source (`--networks.conditional true`) and give the distance to the
    target a weight (`--game.l1 100`); without pairs, the cycle (`--game.cycle 10`). If that is so
    already, train longer.
    """
    if not (f["to_target"] > target_above and f["retrieval"] < retrieval_below):
        return None
    if unchanged(f) is not None:
        return None  # a copy of the source does not ignore it, however far the targets are
    evidence = (
        f"translations are {f['to_target']:.2f} times as far from their target as from other "
        f"targets, and {f['retrieval']:.1%} lie nearest to it{pair_count(f)}"
    )
    return Complaint(
        evidence, (SEE_SOURCE, MORE_L1, MORE_CYCLE, *LONGER), ("to_target", "retrieval")
    )


def unchanged(
    f: Figures,
    *,
    moved_below: float = 0.1,  # difference of output and source, divided by target and source
) -> Complaint | None:
    """What it is: a translator gives back its source, hardly changed.

    Why it is bad: nothing is translated. A cycle and an identity that weigh more than the judgement
    of D reward it: a copy has no cycle error.

    What to do: give identity and cycle less weight (`--game.identity 0`, `--game.cycle 5`), or
    train longer: in the first epochs a copy is common.
    """
    if not f["moved"] < moved_below:
        return None
    evidence = (
        f"translations differ from their sources {f['moved']:.2f} times as much as targets do"
        f"{pair_count(f)}"
    )
    return Complaint(evidence, (LESS_IDENTITY, LESS_CYCLE, *LONGER), ("moved",))


def one_texture(
    f: Figures,
    *,
    variety_below: float = 0.3,  # difference of two outputs, divided by that of two targets
) -> Complaint | None:
    """What it is: a translator makes nearly one picture, or one texture, of every source.

    Why it is bad: it is the collapse of a translator. D learns that picture, and G moves on to the
    next one.

    What to do: give D a lower rate, or what ties the picture to its source more weight: `--game.l1`
    of pairs, `--game.cycle` without them.
    """
    if not f["variety"] < variety_below:
        return None
    evidence = (
        f"translations of different sources differ {f['variety']:.2f} times as much as targets do"
        f"{pair_count(f)}"
    )
    return Complaint(evidence, (MORE_L1, MORE_CYCLE, LOWER_D), ("variety",))


def hides_information(
    f: Figures,
    *,
    hidden_above: float = 2.0,  # cycle error with noise on the way, divided by that without
    cycle_below: float = 0.5,  # cycle error, divided by that of the mean picture
) -> Complaint | None:
    """What it is: the way back succeeds by a message that the way there hides in its picture, too
    faint to be seen: a little noise on the picture destroys it.

    Why it is bad: the cycle error is small and means nothing, as the picture need not show what the
    source shows. Chu et al. 2017.

    What to do: give the cycle less weight (`--game.cycle 5`), or the identity more.
    """
    if not (f["hidden"] > hidden_above and f["cycle"] < cycle_below):
        return None
    evidence = (
        f"the cycle error is {f['cycle']:.2f} times that of the mean picture, and noise of 4 grey "
        f"levels on the way multiplies it by {f['hidden']:.1f}{pair_count(f)}"
    )
    return Complaint(evidence, (LESS_CYCLE,), ("cycle", "hidden"))


def pair_count(f: Figures) -> str:
    """How many held-out pictures were translated, and the seed."""
    return f" ({f['pairs']:,.0f} held-out pictures, seed 0)" if "pairs" in f else ""


# By their codes, which are stable.
CHECKS = {
    "GF001": Check("mode collapse", ("samples",), mode_collapse, "samples"),
    "GF002": Check("partial collapse, classes or modes are missing", ("groups",),
          partial_collapse, "samples"),
    "GF003": Check("discriminator saturated", ("cost",), saturated, "losses"),
    "GF004": Check("discriminator memorising", ("logits",), memorising, "losses"),
    "GF005": Check("balance lost, the generator is ahead", ("cost",), balance_lost, "losses"),
    "GF006": Check("oscillation", ("log",), oscillation, "losses"),
    "GF007": Check("not finite", (), not_finite, "losses", early=True),
    "GF008": Check("dead units or exploding weights", ("log", "logits"), dead_or_exploding,
          "losses"),
    "GF009": Check("labels ignored", ("labels",), labels_ignored, "samples"),
    "GF010": Check("training data copied", ("copies",), copying, "neighbours"),
    "GF011": Check("too few samples for the metric", ("scores",), too_few, about_scores=True,
          early=True),
    "GF012": Check("trained past its best", ("curve",), past_its_best, "scores", early=True),
    "GF013": Check("output ignores the source", ("translations",), ignores_source, "translations"),
    "GF014": Check("output is the source", ("translations",), unchanged, "translations"),
    "GF015": Check("one texture", ("translations",), one_texture, "translations"),
    "GF016": Check("the cycle hides information", ("translations",), hides_information,
          "translations"),
}  # fmt: skip


def explain(code: str) -> str:
    """What a code means, why it is bad, what to do.

    Args:
        code: a key of `CHECKS`; gf1 and 1 are GF001.

    Raises:
        UsageError: there is no such code.
    """
    number = re.fullmatch(r"(?:gf)?0*(\d{1,3})", code.lower())
    code = f"GF{int(number[1]):03}" if number else code
    choice("code", code, list(CHECKS))
    return f"{code} {CHECKS[code].name}\n\n{CHECKS[code].explanation}"
