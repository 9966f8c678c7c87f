"""A run's results in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ganforge.diagnosis import Diagnosis
from ganforge.evaluation.score import Score
from ganforge.report.facts import Facts, duration, progress
from ganforge.report.samples import Neighbours
from ganforge.runs import samples

GOOD, FAIR, BAD, OPEN = "good", "fair", "bad", "open"
TONES = {"as real": GOOD, "close": FAIR, "unknown": OPEN}  # of a score's verdict; others are bad
STATES = {
    "finished": "Finished",
    "stopped": "Stopped on request, can be resumed",
    "running": "Running now",
    "interrupted": "Interrupted: no process trains it now; the same command resumes it",
    "diverged": "Diverged: losses, gradients or weights were no longer finite",
    "failed": "Failed",
    "unknown": "Not started",
}
# why a check is not for such a model, however much is known of the run
OF_OTHERS = (
    "it does not translate pictures",
    "it translates pictures",
    "its game has no labels",
    "no known value of D's loss means guessing in its game",
)
STANDING = {
    "as real": "as good as real by its Frechet distance",
    "close": "close to real by its Frechet distance",
    "far": "still far from real by its Frechet distance",
    "unknown": "its Frechet distance does not show how good",
}


@dataclass(frozen=True)
class Verdict:
    """A tone (a class of the style sheet) and a headline."""

    tone: str
    text: str


@dataclass(frozen=True)
class Figure:
    """One number of a run, and what to compare it with."""

    name: str
    value: str
    beside: str


def figures(facts: Facts, health: Diagnosis | None) -> list[Figure]:
    """The few numbers that say most, as far as they are known."""
    out = []
    if score := facts.score:
        value = f"{number(score.value)} ± {score.spread:.2g}"
        out.append(Figure("Frechet distance", value, compared(score, number(score.floor))))
    if score := facts.named("label-accuracy"):
        floor = compared(score, percent(score.floor))
        out.append(Figure("Label accuracy", percent(score.value), floor))
    if health is not None and health.checked:
        bad, checked = len(health.faults), len(health.checked)
        value = "healthy" if enough(health) and health.healthy else "open"
        value = counted(bad, "finding") if bad else value
        beside = f"{checked} of {checked + len(missed(health))} checks were possible"
        out.append(Figure("Diagnosis", value, beside))
    seconds = facts.last.get("seconds")
    if isinstance(facts.last.get("epoch"), int | float):
        beside = facts.state + (f", {duration(float(seconds))}" if seconds else "")
        out.append(Figure("Training", samples.progress(facts.last)[0], beside))
    return out


def compared(score: Score, floor: str) -> str:
    """What a score is compared with, and how it was computed."""
    return f"real examples {floor}: {score.verdict} (N {score.n:,}, {score.split})"


def tone(verdict: str) -> str:
    """The tone of a score's verdict."""
    return TONES.get(verdict, BAD)


def verdict(facts: Facts, health: Diagnosis | None) -> Verdict:
    """Healthy or not, and how good, in one line."""
    score = facts.score
    standing = STANDING.get(score.verdict, "") if score else ""
    if facts.state in ("diverged", "failed"):
        return Verdict(BAD, "Diverged" if facts.state == "diverged" else "Failed")
    if health is None:
        return Verdict(OPEN, f"Not diagnosed{', ' if standing else ''}{standing}")
    if health.faults:
        names = "; ".join(f.name for f in health.faults)
        return Verdict(BAD, f"Not healthy: {names}")
    if not (enough(health) and health.healthy):
        why = f"Nothing wrong was found, but {health.open}"
        later = health.open and not health.open.startswith("too early")
        early = "Too little was checked to say" if later else "Too early to say"
        early += f"{', ' if standing else ''}{standing}"
        return Verdict(OPEN, why if enough(health) else early)
    if not score or not standing:
        return Verdict(FAIR, "Healthy, not scored yet")
    link = "but" if score.verdict == "far" else "and"
    return Verdict(tone(score.verdict), f"Healthy, {link} {standing}")


def enough(health: Diagnosis) -> bool:
    """Whether most checks of such a model were possible, so that no finding means something."""
    return len(health.checked) > len(missed(health))


def missed(health: Diagnosis) -> list[str]:
    """The codes that were not checked, without those that are for other models."""
    return [code for code, why in health.skipped.items() if why not in OF_OTHERS]


def summary(
    facts: Facts, health: Diagnosis | None, why: str, copies: Neighbours | None
) -> list[str]:
    """The run in a few sentences: state, health, quality against the floor, labels, copies."""
    state = sentence(STATES.get(facts.state, facts.state))
    if done := progress(facts):
        state += f" {sentence(done)}"
    few = health.open if health and "too few to score" in health.open else ""
    quality = of_quality(facts) if facts.score or not few else sentence(f"Not scored: {few}")
    parts = [state, of_health(health, why), quality, of_labels(facts)]
    if copies is not None:
        parts.append(of_copies(copies))
    return [part for part in parts if part]


def sentence(text: str) -> str:
    """With a capital at its head and a full stop at its end."""
    stop = "" if text.endswith((".", "!", "?", ":")) else "."
    return f"{text[:1].upper()}{text[1:]}{stop}"


def of_health(health: Diagnosis | None, why: str) -> str:
    """What the checks found."""
    if health is None:
        return sentence(f"Not diagnosed: {why}") if why else ""
    checked = len(health.checked)
    if health.faults:
        found = len(health.faults)
        which = "it is" if found == 1 else "each is"
        passed = counted(checked, "check")
        return f"{found} of {passed} found a problem; {which} described below with its remedy."
    if not checked:
        return ""
    skipped = len(missed(health))
    also = f" ({skipped} more could not be checked)" if skipped else ""
    notes = "".join(f" About its scores, not about the run: {f.name}." for f in health.findings)
    return f"{counted(checked - len(health.findings), 'check')} found no problem{also}.{notes}"


def of_quality(facts: Facts) -> str:
    """The score beside its floor, and the metrics in which the model is weakest."""
    entry, score = facts.scored, facts.score
    if entry is None or score is None:
        return "It has not been scored: “ganforge evaluate” scores it against real examples."
    text = (
        f"Its Frechet distance FD[{score.space}] is {number(score.value)}; that of real examples "
        f"is {number(score.floor)} (N = {score.n:,}, {score.split} split): {score.verdict}."
    )
    if len(entry.scores) > 1:
        by_tone = {kind: [s for s in entry.scores if tone(s.verdict) == kind] for kind in
                   (GOOD, FAIR, BAD, OPEN)}  # fmt: skip
        good, near, unclear = (len(by_tone[kind]) for kind in (GOOD, FAIR, OPEN))
        text += f" Of its {len(entry.scores)} scores {good} {'is' if good == 1 else 'are'} as real"
        text += f", {near} close" if near else ""
        bad = by_tone[BAD]
        text += f", and {len(bad)} far from real: {listed(bad)}." if bad else "."
        text += f" {unclear} cannot be judged." if unclear else ""
    ahead = facts.last.get("step", 0) - entry.step
    if entry.step and ahead > 0:
        text += f" These are of step {entry.step:,}; the run has trained {ahead:,} steps since."
    return text


def of_labels(facts: Facts) -> str:
    """Whether the generator makes the label it is given."""
    score = facts.named("label-accuracy")
    if score is None:
        return ""
    return (
        f"A classifier assigns {percent(score.value)} of the samples to the label they were "
        f"generated for, and {percent(score.floor)} of real examples to theirs."
    )


def of_copies(found: Neighbours) -> str:
    """Whether samples are copies of training examples."""
    text = (
        f"{percent(found.authentic)} of {found.count} samples are farther from their nearest "
        "training example than that example is from its nearest training example"
    )
    if math.isnan(found.floor):
        return f"{text}; there are too few held-out examples to compare with."
    return f"{text} (held-out real examples: {percent(found.floor)})."


def listed(scores: Sequence[Score]) -> str:
    """Names of metrics, at most four."""
    names = [s.name for s in scores]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def counted(count: int, noun: str) -> str:
    """1 check, 2 checks."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def number(value: float) -> str:
    """Four digits; a dash for NaN and infinity."""
    return f"{value:.4g}" if math.isfinite(value) else "–"


def percent(share: float) -> str:
    """99.2 %."""
    return f"{100 * share:.1f} %"
